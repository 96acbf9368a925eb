// Goal: no text of unknown origin controls a terminal.
// Method: a table of control characters and sequences.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable, printableJson } from '../../src/core/printable.ts';

const cases: { text: string; shown: string; why: string }[] = [
  { text: 'a.example/ü/@v/v1.0.0.zip', shown: 'a.example/ü/@v/v1.0.0.zip', why: 'letters stay' },
  { text: '\x1b[2Jx', shown: '\\u{1b}[2Jx', why: 'clears the screen' },
  { text: 'a\r\nb', shown: 'a\\u{d}\\u{a}b', why: 'makes up another line' },
  { text: '\x9b31m', shown: '\\u{9b}31m', why: 'an escape of one byte' },
  { text: '\u202egpj', shown: '\\u{202e}gpj', why: 'turns the writing around' },
  { text: 'a\u2028b', shown: 'a\\u{2028}b', why: 'separates lines' },
];

for (const { text, shown, why } of cases) {
  test(`printable: ${why}`, () => assert.equal(printable(text), shown));
}

for (const [why, text] of [
  ['an escape sequence', '\u001b[2J'],
  ['the same in one character', '\u009b2J'],
  ['delete', '\u007f'],
  ['right to left', '\u202egpj.exe'],
  ['a line of its own', 'a\nb\u2028c\u2029'],
  ['a tag in two units', '\u{e0041}'],
  ['letters of any language, and emoji', 'gr\u00fcn \u{1f600}'],
] as const) {
  test(`JSON has nothing that controls a terminal, and means the same: ${why}`, () => {
    const line = `${JSON.stringify({ level: 40, path: text })}\n`;
    const safe = printableJson(line);
    assert.doesNotMatch(safe.slice(0, -1), /[\p{C}\p{Zl}\p{Zp}]/u);
    assert.ok(safe.endsWith('}\n'));
    assert.deepEqual(JSON.parse(safe), JSON.parse(line));
  });
}
