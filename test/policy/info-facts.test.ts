// Goal: the version and time of an `.info` are read as `go` reads them, and whatever else stands there gives none.
// Method: a table.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInfo } from '../../src/policy/info-facts.ts';

const rows: readonly { text: string; version?: string; time?: string; why: string }[] = [
  {
    text: '{"Version":"v1.0.0","Time":"2024-02-03T04:05:06Z"}',
    version: 'v1.0.0',
    time: '2024-02-03T04:05:06Z',
    why: 'ordinary',
  },
  {
    text: '{"version":"v1.0.0","TIME":"2024-02-03T04:05:06Z"}',
    version: 'v1.0.0',
    time: '2024-02-03T04:05:06Z',
    why: 'names in any case',
  },
  {
    text: '{"Time":"2024-02-03T04:05:06.123456789Z"}',
    time: '2024-02-03T04:05:06Z',
    why: 'parts of a second',
  },
  {
    text: '{"Time":"2024-02-03T4:05:06,5+02:30"}',
    time: '2024-02-03T01:35:06Z',
    why: 'a zone, a comma, one digit',
  },
  { text: '{"Time":"2024-02-03T23:05:06-02:00"}', time: '2024-02-04T01:05:06Z', why: 'a zone to the west' },
  { text: '{"Version":"v1.0.0"}', version: 'v1.0.0', why: 'no time' },
  { text: '{"Version":"v1.0.0","Time":null}', version: 'v1.0.0', why: 'null' },
  { text: '{"Version":"v1.0.0","Time":"0001-01-01T00:00:00Z"}', version: 'v1.0.0', why: "Go's zero time" },
  {
    text: '{"Version":"v1.0.0","Time":"1970-01-01T00:00:00Z"}',
    version: 'v1.0.0',
    time: '1970-01-01T00:00:00Z',
    why: 'the epoch is a time',
  },
  { text: '{"Time":"9999-12-31T23:59:59Z"}', time: '9999-12-31T23:59:59Z', why: 'far away' },
  { text: '{"Time":"2024-13-03T04:05:06Z"}', why: 'no month' },
  { text: '{"Version":"master"}', why: 'no version' },
  { text: '{"Version":["v1.0.0"],"Time":7}', why: 'other types' },
  { text: '[]', why: 'a list' },
  { text: 'null', why: 'nothing' },
  { text: 'v1.0.0', why: 'no JSON' },
];

for (const { text, version, time, why } of rows) {
  test(`info: ${why}`, () => {
    const publishedMs = time === undefined ? undefined : Date.parse(time);
    assert.deepEqual(readInfo(text), { version, publishedMs });
  });
}
