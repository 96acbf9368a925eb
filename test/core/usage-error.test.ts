// Goal: the error for a slightly mistyped name suggests the right name; for any other name it says where to look.
// Method: a table over the names of the real flags.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError, unknownName } from '../../src/core/usage-error.ts';
import { serveOptions } from '../../src/settings/serve-options.ts';

const names = Object.values(serveOptions).map(({ name }) => `--${name}`);

const typed: { name: string; hint: RegExp; why: string }[] = [
  { name: '--lst-ttl', hint: /did you mean --list-ttl\?$/, why: 'a letter missing' },
  { name: '--ofline', hint: /did you mean --offline\?$/, why: 'a letter missing' },
  { name: '--upsteram', hint: /did you mean --upstream\?$/, why: 'two letters swapped' },
  { name: '--cache-mem', hint: /did you mean --cache-memory\?$/, why: 'cut short' },
  { name: '--cache-tttl', hint: /did you mean --cache-ttl\?$/, why: 'the nearest of several' },
  { name: '--x', hint: /see 'astera --help'$/, why: 'near nothing' },
  { name: '--bucket', hint: /see 'astera --help'$/, why: 'a name kept for later' },
  { name: `--${'a'.repeat(1_000_000)}`, hint: /see 'astera --help'$/, why: 'endless' },
  { name: '--a\nb', hint: /^[^\n]*$/, why: 'a line break' },
];

for (const { name, hint, why } of typed) {
  test(`${JSON.stringify(name.slice(0, 20))}: ${why}`, () => {
    const error = unknownName('flag', name, names);
    assert.ok(error instanceof UsageError);
    assert.match(error.message, hint);
    assert.match(error.message, /^unknown flag "--/);
    assert.ok(error.message.length < 200);
  });
}
