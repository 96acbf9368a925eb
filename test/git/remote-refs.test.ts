// Goal: a listing is read by Git's own rules, whatever a server writes, in the order of bytes, and in turns.
// Method: names are held against `git check-ref-format`; a long listing is read beside a timer.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { RemoteRefs } from '../../src/git/remote-refs.ts';

const HASH = 'a'.repeat(40);

const names = [
  ...[
    'refs/heads/main',
    'refs/tags/v1.0.0',
    'refs/tags/sub/v1.0.0-rc.1+x',
    'refs/heads/a/b/c',
    'refs/heads/-x',
  ],
  ...[
    'refs/heads/a..b',
    'refs/heads/.a',
    'refs/heads/a.',
    'refs/heads/a/.b',
    'refs/heads/a.lock',
    'refs/tags/a.lock/b',
  ],
  ...[
    'refs/tags/a.locked',
    'refs/tags/x.lock.y',
    'refs/heads//a',
    'refs/heads/a/',
    'refs/heads/a@{b',
    'refs/heads/@',
  ],
  ...[
    'refs/heads/é',
    'refs/tags/日本',
    'refs/heads/a~b',
    'refs/heads/a^b',
    'refs/heads/a:b',
    'refs/heads/a?b',
  ],
  ...[
    'refs/heads/a*b',
    'refs/heads/a[b',
    'refs/heads/a\\b',
    'refs/heads/a"b',
    "refs/heads/a'b",
    'refs/heads/a!b',
  ],
  ...[
    'refs/heads/a\u0001b',
    'refs/heads/a\u007fb',
    'refs/tags/v1.0.0^',
    'refs/heads/a./b',
    'refs/heads/a.b.c',
  ],
];

for (const name of names) {
  test(`as Git takes it: ${JSON.stringify(name)}`, async () => {
    const isName = spawnSync('git', ['check-ref-format', name]).status === 0;
    const refs = await RemoteRefs.parse(Buffer.from(`${HASH}\t${name}\n`));
    assert.equal(refs.get(name), isName ? HASH : undefined);
  });
}

test('lines that are none are left out, and a peeled tag is its commit', async () => {
  const other = 'b'.repeat(40);
  const listing = [
    `${HASH}\tHEAD`,
    `${HASH}\trefs/tags/v1.0.0`,
    `${other}\trefs/tags/v1.0.0^{}`,
    `${HASH} refs/heads/by-a-space`,
    `${'g'.repeat(40)}\trefs/heads/no-hash`,
    `${HASH}\trefs/heads/a b`,
    `${HASH}\trefs/notes/commits`,
    `${HASH}\t`,
    'warning: something',
    '',
  ];
  const refs = await RemoteRefs.parse(Buffer.from(listing.join('\n')));
  assert.equal(refs.get('HEAD'), HASH);
  assert.equal(refs.get('refs/tags/v1.0.0'), other);
  assert.deepEqual(
    refs
      .startingWith('')
      .map(({ name }) => name)
      .sort(),
    [...['HEAD', 'refs/heads/by-a-space', 'refs/tags/v1.0.0']],
  );
});

test('tags come in the order of their bytes', async () => {
  const order = ['v1', 'v10', 'v2', 'vé', 'v\uffee', 'v\u{1f600}'];
  const listing = order.toReversed().map((name) => `${HASH}\trefs/tags/${name}\n`);
  const refs = await RemoteRefs.parse(Buffer.from(listing.join('')));
  assert.deepEqual(
    refs.tags('v').map(({ name }) => name),
    order,
  );
});

test('100,000 refs leave turns to others, and another prefix has another sum', async () => {
  const listing = Array.from({ length: 100_000 }, (_, at) => `${HASH}\trefs/tags/v1.${at}.0\n`);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const refs = await RemoteRefs.parse(Buffer.from(listing.join('')));
  clearInterval(timer);
  assert.ok(turns >= 5, `${turns} turns`);
  assert.equal(refs.tags('v1.5.').length, 1);
  assert.equal(refs.tagSum(''), refs.tagSum(''));
  assert.notEqual(refs.tagSum(''), refs.tagSum('sub/'));
});
