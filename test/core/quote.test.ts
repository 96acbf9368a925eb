// Goal: a value in a message is one short line that controls no terminal.
// Method: a table of values and their quoted form.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quote } from '../../src/core/quote.ts';

const cases: { value: unknown; quoted: string; why: string }[] = [
  { value: 'v1.0.0', quoted: '"v1.0.0"', why: 'plain text is in quotes' },
  { value: 'a "b"\n', quoted: '"a \\"b\\"\\n"', why: 'quotes and line ends are escaped' },
  { value: '\u009b2J', quoted: '"\\u009b2J"', why: 'a control character that JSON lets stand' },
  { value: '\u202egpj', quoted: '"\\u202egpj"', why: 'a character that turns the writing around' },
  { value: 12, quoted: '12', why: 'a number has no quotes' },
  { value: undefined, quoted: 'undefined', why: 'JSON has no word for it' },
  { value: 'x'.repeat(298), quoted: `"${'x'.repeat(298)}"`, why: 'as long as may be' },
  { value: 'x'.repeat(299), quoted: `"${'x'.repeat(295)}..."`, why: 'too long by one' },
];

for (const { value, quoted, why } of cases) {
  test(`quote: ${why}`, () => assert.equal(quote(value), quoted));
}
