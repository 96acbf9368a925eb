// Goal: clients leave descriptors for all else, however few there are.
// Method: the kernel's table as text, with the descriptors of this process.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { connectionsMax } from '../../src/serve/connection-limit.ts';
import { DESCRIPTORS_KEPT } from '../../src/serve/limits.ts';

const table = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${soft}                 524288               files     \n`;

test('all but those that are open and those that are kept', () => {
  const open = readdirSync('/proc/self/fd').length;
  assert.equal(connectionsMax(table(`${10_000 + open}`)), 10_000 - DESCRIPTORS_KEPT);
});

test('half of few, and one of none', () => {
  const open = readdirSync('/proc/self/fd').length;
  assert.equal(connectionsMax(table(`${100 + open}`)), 50);
  assert.equal(connectionsMax(table('3')), 1);
});

test('no bound where nothing tells one', () => {
  assert.equal(connectionsMax(table('unlimited')), Infinity);
  assert.equal(connectionsMax(''), Infinity);
});

test('the kernel tells one here', () => assert.ok(connectionsMax() > 1));
