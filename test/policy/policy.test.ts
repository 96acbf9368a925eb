// Goal: a policy is read as it was written, allows before it denies, and knows the age for each module.
// Method: the words of settings and of the file, then the policy's decisions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModulePath } from '../../src/core/module-path.ts';
import { parseVersion } from '../../src/core/version.ts';
import { POLICY_PATTERNS_MAX } from '../../src/policy/limits.ts';
import { Policy } from '../../src/policy/policy.ts';
import {
  parseAges,
  parseDenyPatterns,
  parsePolicyFile,
  parseVersionPatterns,
} from '../../src/policy/policy-syntax.ts';
import { denied, tooYoung } from '../../src/policy/refusal.ts';

const DAY_MS = 86_400_000;
const path = parseModulePath;

function version(text: string) {
  const parsed = parseVersion(text);
  assert.ok(parsed, text);
  return parsed;
}

function policyOf({ allow = '', deny = '', ages = '', isPrivate = '' }): Policy {
  return new Policy({
    allow: parseVersionPatterns(allow),
    deny: parseDenyPatterns(deny),
    ages: parseAges(ages, isPrivate),
    isExactDelayed: true,
  });
}

test('what is allowed is given, whatever else is denied', () => {
  const policy = policyOf({ deny: '*', allow: 'a.example/x,b.example@>=v1.2.0' });
  const isDenied = (module: string, text: string) =>
    policy.denialOf(path(module), version(text)) !== undefined;
  assert.equal(isDenied('a.example/x/y', 'v1.0.0'), false);
  assert.equal(isDenied('a.example/z', 'v1.0.0'), true);
  assert.equal(isDenied('b.example', 'v1.1.0'), true);
  assert.equal(isDenied('b.example', 'v1.2.0'), false);
  assert.equal(policy.denialOfAll(path('a.example/x')), undefined);
  assert.equal(policy.denialOfAll(path('b.example')), undefined, 'some of its versions may be had');
  assert.equal(policy.denialOfAll(path('c.example'))?.text, '*');
});

test('a pattern with a version does not deny a module', () => {
  const policy = policyOf({ deny: 'a.example@<v1.0.0' });
  assert.equal(policy.denialOfAll(path('a.example')), undefined);
  assert.equal(policy.concerns(path('a.example')), true);
  assert.equal(policy.concerns(path('a.example/b')), false);
  assert.equal(policy.isEmpty, false);
});

test('an empty policy gives everything, and one that only allows is empty', () => {
  assert.equal(policyOf({}).isEmpty, true);
  assert.equal(policyOf({ allow: '*' }).isEmpty, true);
  assert.equal(policyOf({ ages: '0' }).isEmpty, true);
  assert.equal(policyOf({ ages: 'a.example=1s' }).isEmpty, false);
});

const ages: readonly { text: string; module: string; ageMs: number; why: string }[] = [
  { text: '7d', module: 'a.example', ageMs: 7 * DAY_MS, why: 'days' },
  { text: '1d12h', module: 'a.example', ageMs: 1.5 * DAY_MS, why: 'days and hours' },
  { text: '36h', module: 'a.example', ageMs: 1.5 * DAY_MS, why: "Go's own form" },
  { text: '0', module: 'a.example', ageMs: 0, why: 'none' },
  { text: '7d,a.example=1h', module: 'a.example/x', ageMs: 3_600_000, why: 'an exception' },
  { text: 'a.example=1h,7d', module: 'a.example/x', ageMs: 3_600_000, why: 'in any order' },
  {
    text: '7d,a.example/x=2h,a.example=1h',
    module: 'a.example/x',
    ageMs: 7_200_000,
    why: 'the first one counts',
  },
  { text: 'a.example=1h', module: 'b.example', ageMs: 0, why: 'an age for some alone' },
  { text: '7d', module: 'corp.example/x', ageMs: 0, why: 'private modules are exempt' },
  { text: '7d,corp.example=1d', module: 'corp.example/x', ageMs: DAY_MS, why: 'unless they are named' },
];

for (const { text, module, ageMs, why } of ages) {
  test(`--min-age ${text}: ${why}`, () => {
    assert.equal(policyOf({ ages: text, isPrivate: 'corp.example' }).ageMsOf(path(module)), ageMs);
  });
}

for (const text of ['7', '7 days', 'd', '-1d', '7d,8d', 'a.example', '=7d', '[=7d', '4000d', '7d,', '1h1d']) {
  test(`--min-age ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => parseAges(text, ''), /not a |two ages|over ten/);
  });
}

test('a file has a pattern a line, and the reason behind it', () => {
  const file = parsePolicyFile(
    '# ours\r\n\ndeny example.com/x@<v1.2.3  CVE-2026-1: take v1.2.3\r\n  allow\texample.com/y \ndeny a.example # typosquat\n',
  );
  assert.deepEqual(
    file.deny.map(({ text, reason }) => [text, reason]),
    [
      ['example.com/x@<v1.2.3', 'CVE-2026-1: take v1.2.3'],
      ['a.example', 'typosquat'],
    ],
  );
  assert.deepEqual(
    file.allow.map(({ text }) => text),
    ['example.com/y'],
  );
});

const badFiles: readonly { text: string; says: RegExp }[] = [
  { text: 'deny', says: /^line 1: expected allow PATTERN, or deny PATTERN REASON/ },
  { text: '\n\npermit a.example', says: /^line 3: expected .*: "permit a\.example"$/ },
  { text: 'deny a.example@v1', says: /^line 1: cannot read pattern "a\.example@v1"/ },
  { text: `deny a.example ${'x'.repeat(241)}`, says: /^line 1: expected .* of up to 240 characters/ },
  { text: 'deny a.example\n'.repeat(POLICY_PATTERNS_MAX + 1), says: /^20001 patterns: at most 20000$/ },
];

for (const { text, says } of badFiles) {
  test(`a file is refused: ${says}`, () => assert.throws(() => parsePolicyFile(text), { message: says }));
}

test('a refusal is one line with the rule and the reason, and denied is no 404', () => {
  const { deny } = parsePolicyFile('deny example.com/x@<v1.2.3 use\u0007 v1.2.3');
  const policy = new Policy({ allow: [], deny, ages: [], isExactDelayed: true });
  const refusal = denied(policy, path('example.com/x'), version('v1.0.0'));
  assert.equal(refusal?.error.kind, 'forbidden');
  assert.equal(
    refusal?.error.message,
    'cannot give "example.com/x@v1.0.0": denied by the policy of this server (example.com/x@<v1.2.3): use  v1.2.3',
  );
});

test('a version that is too young is a 404 which says when it will be there', () => {
  const publishedMs = Date.parse('2026-11-28T10:00:30Z');
  const nowMs = Date.parse('2026-11-29T00:00:00Z');
  const { error, untilMs } = tooYoung(path('a.example'), version('v1.0.0'), {
    publishedMs,
    ageMs: 7 * DAY_MS,
    nowMs,
  });
  assert.equal(error.kind, 'not-found');
  assert.equal(
    error.message,
    'cannot give "a.example@v1.0.0" yet: this server gives versions that are 7 days old; it is of 2026-11-28T10:00Z and will be here from 2026-12-05T10:01Z on (now 2026-11-29T00:00Z)',
  );
  assert.equal(untilMs, publishedMs + 7 * DAY_MS);
});
