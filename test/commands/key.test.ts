// Goal: a pair of keys is made whole, for its owner alone, and never over another one.
// Method: the command's function in a temporary directory; the keys sign and check.

import assert from 'node:assert/strict';
import { sign, verify } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { keyCommand } from '../../src/commands/key.ts';
import { tempDir } from '../support/temp-dir.ts';

function keysIn(t: TestContext): { readonly own: string; readonly shared: string } {
  const own = join(tempDir(t), 'ci.key');
  return { own, shared: `${own}.pub` };
}

test('what one key of the pair signs, the other one checks; the private one is its owner’s alone', (t) => {
  const { own, shared } = keysIn(t);
  keyCommand(own);
  const signature = sign(null, Buffer.from('x'), readFileSync(own));
  assert.ok(verify(null, Buffer.from('x'), readFileSync(shared), signature));
  assert.equal(statSync(own).mode & 0o777, 0o600);
});

for (const taken of ['own', 'shared'] as const) {
  test(`a file in the place of the ${taken} key stays, and no half of a pair is made`, (t) => {
    const keys = keysIn(t);
    writeFileSync(keys[taken], 'another one');
    assert.throws(() => keyCommand(keys.own), /^Error: cannot write the key "[^"]+": .*EEXIST/);
    assert.equal(readFileSync(keys[taken], 'utf8'), 'another one');
    assert.ok(!existsSync(keys[taken === 'own' ? 'shared' : 'own']));
  });
}
