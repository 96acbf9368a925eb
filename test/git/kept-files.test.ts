// Goal: small files are kept within their bound, the newest of them, and nobody can change what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptFiles } from '../../src/git/kept-files.ts';

test('the oldest go first, and the bound holds', () => {
  const kept = new KeptFiles(10_000);
  for (let at = 0; at < 50; at++) {
    kept.add(`${at}`, Buffer.alloc(900));
    assert.ok(kept.bytes <= 10_000);
  }
  assert.ok(!kept.has('0'));
  assert.equal(kept.get('49')?.length, 900);
});

test('one that would take too much of the room is not kept', () => {
  const kept = new KeptFiles(10_000);
  kept.add('small', Buffer.alloc(900));
  kept.add('large', Buffer.alloc(2_000));
  assert.deepEqual([kept.has('small'), kept.has('large')], [true, false]);
});

test('that there is no file is known too', () => {
  const kept = new KeptFiles(10_000);
  kept.add('none', undefined);
  assert.deepEqual([kept.has('none'), kept.get('none'), kept.has('other')], [true, undefined, false]);
});

test('a reader may change its copy', () => {
  const kept = new KeptFiles(10_000);
  const file = Buffer.from('module x');
  kept.add('go.mod', file);
  file.fill(0);
  kept.get('go.mod')?.fill(0);
  assert.equal(kept.get('go.mod')?.toString(), 'module x');
});
