// Goal: a small answer is kept if the `go` command would take it, and refused if `go` would.
// Method: a table; encoding/json and time of Go 1.26 gave the result for each `.info`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CheckFailed } from '../../src/core/errors.ts';
import { parseResource } from '../../src/core/resource.ts';
import { checkSmall } from '../../src/modules/small-check.ts';

const INFO = 'example.com/m/@v/v1.0.0.info';
const timed = (time: string) => `{"Version":"v1.0.0","Time":${time}}`;

const taken: { text: string; key?: string; why: string }[] = [
  { text: '{"Version":"v1.0.0"}', why: 'no more than a version' },
  { text: ' {"Version":"v1.0.0","Short":"x"}\n', why: 'more fields, and space around' },
  { text: '{"version":"v1.0.0"}', why: 'names have no case' },
  { text: '{"Version":"v1.0.1","VERSION":"v1.0.0"}', why: 'the last one counts' },
  { text: '{"Version":"v1.0.0","version":null}', why: 'null is as good as nothing' },
  { text: '{"Version":"v1.0.0","Origin":null}', why: 'no origin' },
  { text: '{"Version":"v1.0.0","Origin":{"VCS":"git"}}', why: 'an origin' },
  { text: timed('null'), why: 'no time' },
  { text: timed('"2020-02-29T03:04:05Z"'), why: 'a leap day' },
  { text: timed('"2020-01-02T03:04:05.123456789+05:30"'), why: 'nanoseconds and an offset' },
  { text: timed('"2020-01-02T3:04:05,5Z"'), why: 'an hour of one digit, and a comma' },
  { text: timed('"0001-01-01T00:00:00Z"'), why: "Go's zero time" },
  { text: '{"Version":"v1.0.0"}', key: 'example.com/m/@v/master.info', why: 'a branch' },
  { text: '{"Version":"v2.0.0+incompatible"}', key: 'example.com/m/@v/v2.0.0.info', why: 'another version' },
  { text: '', key: 'example.com/m/@v/list', why: 'a list without versions' },
  { text: 'junk\n\0', key: 'example.com/m/@v/list', why: 'lines that go passes over' },
  { text: '// <a>\nmodule x\n', key: 'example.com/m/@v/v1.0.0.mod', why: 'a go.mod of another module' },
];

for (const { text, key = INFO, why } of taken) {
  test(`taken: ${why}: ${JSON.stringify(text)}`, () => check(key, text));
}

const refused: { text: string; key?: string; line: RegExp; why: string }[] = [
  { text: '', line: /not JSON: ""/, why: 'empty' },
  { text: '\ufeff{"Version":"v1.0.0"}', line: /not JSON/, why: 'a byte order mark' },
  { text: '{"Version":"v1.0.0"} x', line: /not JSON/, why: 'more behind it' },
  { text: '['.repeat(200_000), line: /not JSON/, why: 'deep' },
  { text: '["v1.0.0"]', line: /without a Version/, why: 'a list' },
  { text: 'null', line: /without a Version/, why: 'nothing' },
  { text: '{"Version":5}', line: /without a Version/, why: 'a number' },
  { text: '{"Version":"v1.0.1"}', line: /of version "v1\.0\.1"/, why: 'another version' },
  { text: '{"Version":"v1.0.0","version":"v1.0.1"}', line: /of version "v1\.0\.1"/, why: 'the last one' },
  { text: '{"Version":"v1.0.0","Origin":"x"}', line: /an Origin that is none/, why: 'origin as text' },
  { text: '{"Version":"v1.0.0","Origin":[]}', line: /an Origin that is none/, why: 'origin as list' },
  { text: timed('5'), line: /a Time that is none/, why: 'a number' },
  { text: timed('""'), line: /a Time that is none/, why: 'no text' },
  { text: timed('"Jan 2 2020"'), line: /a Time that is none/, why: 'what Date.parse takes' },
  { text: timed('"2020-02-30T00:00:00Z"'), line: /a Time that is none/, why: 'a day that is none' },
  { text: timed('"2020-01-02T24:00:00Z"'), line: /a Time that is none/, why: 'an hour that is none' },
  { text: timed('"2020-01-02T03:04:60Z"'), line: /a Time that is none/, why: 'a leap second' },
  { text: timed('"2020-01-02T03:04:05"'), line: /a Time that is none/, why: 'no zone' },
  {
    text: '{"Version":"master"}',
    key: 'example.com/m/@v/master.info',
    line: /not a canonical version: "master"/,
    why: 'a branch that names itself',
  },
  { text: ' <html>', key: 'example.com/m/@v/list', line: /markup/, why: 'a web page' },
  { text: '\ufeff<?xml?>', key: 'example.com/m/@v/v1.0.0.mod', line: /markup/, why: 'XML' },
];

for (const { text, key = INFO, line, why } of refused) {
  test(`refused: ${why}: ${JSON.stringify(text.slice(0, 60))}`, () => {
    assert.throws(
      () => check(key, text),
      (error) => error instanceof CheckFailed && line.test(error.message) && error.message.includes(key),
    );
  });
}

function check(key: string, text: string): void {
  const resource = parseResource(key);
  assert.ok(resource !== undefined);
  checkSmall(resource, key, Buffer.from(text));
}
