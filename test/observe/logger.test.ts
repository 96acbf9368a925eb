// Goal: a person at a terminal reads one line for each event, and no line controls the terminal.
// Method: pino's lines through the function that makes them plain.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainLine } from '../../src/observe/logger.ts';

const line = (fields: object) =>
  plainLine(JSON.stringify({ level: 40, time: '2026-11-25T15:00:00.000Z', msg: 'slow answer', ...fields }));

test('time, level, message, then the fields', () => {
  assert.equal(line({ path: '/a b', ms: 1200 }), '15:00:00 WARN  slow answer path="/a b" ms=1200\n');
});

for (const [why, text, shown] of [
  ['an escape sequence', '\u001b[2J', '\\u001b[2J'],
  ['the same in one character', '\u009b2J', '\\u{9b}2J'],
  ['delete', '\u007f', '\\u{7f}'],
  ['right to left', '\u202egpj.exe', '\\u{202e}gpj.exe'],
  ['a line of its own', 'a\nb\u2028c', 'a\\nb\\u{2028}c'],
  ['letters of any language', 'grün', 'grün'],
] as const) {
  test(`shown as ${JSON.stringify(shown)}: ${why}`, () => {
    assert.equal(line({ path: text }), `15:00:00 WARN  slow answer path="${shown}"\n`);
  });
}
