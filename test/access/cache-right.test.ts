// Goal: a login writes where its scopes say, unless a web page sends it.
// Method: the decision alone, with a login of each kind. Over HTTP: `test/e2e/build-cache.test.ts`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CacheRight } from '../../src/access/cache-right.ts';
import { parseAuthorization } from '../../src/access/credentials.ts';
import type { Scope } from '../../src/access/scope.ts';
import { Forbidden } from '../../src/core/errors.ts';

function demand(op: 'demandRead' | 'demandWrite', scope: Scope, headers: Readonly<Record<string, string>>) {
  const right = new CacheRight({ logins: { scopesOf: () => [scope] }, readNeedsLogin: true });
  return right[op]({
    address: Uint8Array.of(10, 0, 0, 1),
    credentials: parseAuthorization('Bearer x'),
    namespace: 'main',
    header: (name) => headers[name] ?? '',
  });
}

for (const origin of ['https://site.example', 'null', 'http://pi:8080']) {
  test(`a login that a browser adds to a page's request writes nothing: ${origin}`, () => {
    assert.throws(() => demand('demandWrite', 'cache-write', { origin }), Forbidden);
    demand('demandRead', 'cache-write', { origin });
    demand('demandWrite', 'cache-write', { 'x-forwarded-for': '10.0.0.2' });
  });
}

test('a login without the scope writes nothing', () => {
  assert.throws(() => demand('demandWrite', 'cache-read', {}), Forbidden);
});
