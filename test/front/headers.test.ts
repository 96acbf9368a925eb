// Goal: header blocks hold what INTERFACE says, and no line that is not ours.
// Method: every kind, status and origin there is, line by line.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileKind, type Origin, StoredFile } from '../../src/core/answer.ts';
import { httpStatus } from '../../src/core/errors.ts';
import { answerHead, errorHead, etagOf, hotHead, statusLine } from '../../src/front/headers.ts';

const kinds = ['list', 'latest', 'info', 'query', 'mod', 'zip'] as const satisfies FileKind[];
const origins = ['memory', 'store', 'upstream', 'stale', 'computed'] as const satisfies Origin[];
const SHA = 'ab'.repeat(32);

/** The block as a client sees it. */
function linesOf(block: string): Map<string, string> {
  const lines = `Content-Type: ${block}`.split('\r\n');
  for (const line of lines) assert.match(line, /^[A-Za-z-]+: [\x20-\x7e]+$/);
  return new Map(lines.map((line) => line.split(': ', 2) as [string, string]));
}

for (const kind of kinds) {
  test(`every block of a ${kind} is well-formed`, () => {
    for (const origin of origins) {
      for (const status of [200, 404, 410] as const) {
        for (const sha256 of [undefined, '', SHA]) {
          const lines = linesOf(answerHead({ kind, status, origin, sha256 }, 'public'));
          const hasTag = status === 200 && sha256 === SHA;
          assert.equal(lines.get('ETag'), hasTag ? `"${SHA}"` : undefined);
          assert.equal(lines.get('Accept-Ranges'), hasTag ? 'bytes' : undefined);
          const isForever = status === 200 && ['info', 'mod', 'zip'].includes(kind);
          const briefly = origin === 'computed' ? 'no-store' : 'public, max-age=60';
          assert.equal(
            lines.get('Cache-Control'),
            isForever ? 'public, max-age=31536000, immutable' : briefly,
          );
          assert.equal(lines.get('Vary'), isForever ? undefined : 'Disable-Module-Fetch');
          assert.equal(lines.get('X-Content-Type-Options'), 'nosniff');
          const secret = linesOf(answerHead({ kind, status, origin, sha256 }, 'private'));
          assert.equal(secret.get('Cache-Control'), 'private, no-store');
          assert.match(
            lines.get('Cache-Status') ?? '',
            /^astera; (hit|fwd=(miss|stale))(; stored)?; detail=[a-z]+$/,
          );
        }
      }
    }
  });
}

test('no cache keeps a file for long that the checksum database has not confirmed', () => {
  for (const isTentative of [true, false]) {
    const file = new StoredFile({
      kind: 'zip',
      status: 200,
      size: 1,
      body: undefined,
      blob: 1,
      sha256: SHA,
      freshUntilMs: Infinity,
      visibility: 'public',
      isTentative,
    });
    const control = isTentative ? 'public, max-age=60' : 'public, max-age=31536000, immutable';
    assert.equal(linesOf(hotHead(file)).get('Cache-Control'), control);
    file.stored({ sha256: SHA, blob: 1, isTentative: false });
    assert.match(linesOf(hotHead(file)).get('Cache-Control') ?? '', /immutable/, 'confirmed since');
  }
});

const types: { kind: FileKind; status: 200 | 404; type: string }[] = [
  { kind: 'list', status: 200, type: 'text/plain; charset=utf-8' },
  { kind: 'mod', status: 200, type: 'text/plain; charset=utf-8' },
  { kind: 'info', status: 200, type: 'application/json' },
  { kind: 'query', status: 200, type: 'application/json' },
  { kind: 'latest', status: 200, type: 'application/json' },
  { kind: 'zip', status: 200, type: 'application/zip' },
  { kind: 'zip', status: 404, type: 'text/plain; charset=utf-8' },
  { kind: 'info', status: 404, type: 'text/plain; charset=utf-8' },
];

for (const { kind, status, type } of types) {
  test(`a ${kind} with ${status} is ${type}`, () => {
    const lines = linesOf(answerHead({ kind, status, origin: 'store', sha256: SHA }, 'public'));
    assert.equal(lines.get('Content-Type'), type);
  });
}

test('what the store has no room for is not said to be stored', () => {
  for (const { origin, isStoring, status } of [
    { origin: 'upstream', isStoring: true, status: 'astera; fwd=miss; stored; detail=upstream' },
    { origin: 'upstream', isStoring: false, status: 'astera; fwd=miss; detail=upstream' },
    { origin: 'git', isStoring: false, status: 'astera; fwd=miss; detail=git' },
    { origin: 'store', isStoring: false, status: 'astera; hit; detail=store' },
  ] as const) {
    const head = answerHead({ kind: 'zip', status: 200, origin, sha256: SHA }, 'public', isStoring);
    assert.equal(linesOf(head).get('Cache-Status'), status);
  }
});

test('an error is text that nobody keeps, so that go shows it', () => {
  const lines = linesOf(errorHead());
  assert.equal(lines.get('X-Content-Type-Options'), 'nosniff');
  assert.equal(lines.get('Content-Type'), 'text/plain; charset=utf-8');
  assert.equal(lines.get('Cache-Control'), 'no-store');
});

test('there is a status line for every error a client may see', () => {
  for (const [kind, code] of Object.entries(httpStatus)) {
    assert.ok(statusLine[code]?.startsWith(`${code} `), kind);
  }
});

test('a file in memory remembers its block until the store has said its hash', () => {
  const file = new StoredFile({
    kind: 'mod',
    status: 200,
    size: 1,
    body: new Uint8Array(1),
    blob: undefined,
    sha256: '',
    freshUntilMs: Infinity,
    visibility: 'public',
  });
  const before = hotHead(file);
  assert.equal(file.headers, before);
  assert.equal(linesOf(before).get('ETag'), undefined);
  file.stored({ sha256: SHA, blob: undefined, isTentative: false });
  assert.equal(linesOf(hotHead(file)).get('ETag'), etagOf(SHA));
});
