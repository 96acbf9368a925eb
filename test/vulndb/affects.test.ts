// Goal: a report concerns the versions that govulncheck says it does.
// Method: a table after the rules of golang.org/x/vuln/internal/semver; events come in any order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Version } from '../../src/core/version.ts';
import { affects } from '../../src/vulndb/affects.ts';
import type { RangeEvent, VersionRange } from '../../src/vulndb/vuln-json.ts';

const from = (introduced: string): RangeEvent => ({ introduced, fixed: undefined });
const until = (fixed: string): RangeEvent => ({ introduced: undefined, fixed });
const range = (...events: RangeEvent[]): VersionRange => ({ type: 'SEMVER', events });

const cases: { why: string; ranges: VersionRange[]; inside: string[]; outside: string[] }[] = [
  { why: 'no range', ranges: [], inside: ['v0.0.1', 'v9.9.9'], outside: [] },
  { why: 'an empty range', ranges: [range()], inside: ['v1.0.0'], outside: [] },
  {
    why: 'closed on the left, open on the right',
    ranges: [range(from('1.2.0'), until('1.3.0'))],
    inside: ['v1.2.0', 'v1.2.9', 'v1.3.0-rc.1'],
    outside: ['v1.1.9', 'v1.2.0-rc.1', 'v1.3.0', 'v2.0.0+incompatible'],
  },
  {
    why: 'two stretches in one range, out of order',
    ranges: [range(from('1.19.0'), until('1.19.1'), from('0'), until('1.18.6'))],
    inside: ['v0.0.0', 'v1.18.5', 'v1.19.0', 'v1.18.6-0.20240101000000-abcdefabcdef'],
    outside: ['v1.18.6', 'v1.18.9', 'v1.19.1', 'v2.0.0'],
  },
  {
    why: 'two ranges',
    ranges: [range(from('0'), until('1.0.0')), range(from('2.0.0'))],
    inside: ['v0.9.0', 'v2.0.0', 'v3.0.0'],
    outside: ['v1.0.0', 'v1.9.0'],
  },
  {
    why: 'short versions, and Go’s own',
    ranges: [range(from('1.2'), until('go2'))],
    inside: ['v1.2.0', 'v1.9.0'],
    outside: ['v1.1.9', 'v2.0.0'],
  },
  {
    why: 'a range of another type alone',
    ranges: [{ type: 'GIT', events: [from('4.0.0')] }],
    inside: ['v3.0.0'],
    outside: [],
  },
  {
    why: 'a range of another type beside one of versions',
    ranges: [{ type: 'GIT', events: [from('3.0.0')] }, range(from('4.0.0'))],
    inside: ['v4.0.0'],
    outside: ['v3.0.0'],
  },
];

for (const { why, ranges, inside, outside } of cases) {
  test(why, () => {
    const concerned = (version: string) =>
      affects(
        {
          ...{ id: 'GO-1', modified: '2024-01-01T00:00:00Z', isWithdrawn: false, summary: '' },
          affected: [{ path: 'example.com/m', ranges }],
        },
        'example.com/m',
        version as Version,
      );
    for (const version of inside) assert.equal(concerned(version), true, version);
    for (const version of outside) assert.equal(concerned(version), false, version);
  });
}

test('another module, and a report that was taken back, concern nothing', () => {
  const report = {
    ...{ id: 'GO-1', modified: '2024-01-01T00:00:00Z', summary: '' },
    affected: [{ path: 'example.com/m', ranges: [] }],
  };
  const version = 'v1.0.0' as Version;
  assert.equal(affects({ ...report, isWithdrawn: false }, 'example.com/m', version), true);
  assert.equal(affects({ ...report, isWithdrawn: false }, 'example.com/other', version), false);
  assert.equal(affects({ ...report, isWithdrawn: true }, 'example.com/m', version), false);
});
