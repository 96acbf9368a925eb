// Goal: a refused login is not tried again and again: not of one repository, not of one server, not by many at once.
// Method: work that notes when it is done, and a clock that is set by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Forbidden, UpstreamDown } from '../../src/core/errors.ts';
import { GIT_REFUSALS_MAX, GIT_REFUSALS_MS, GIT_REFUSED_MS } from '../../src/git/limits.ts';
import { LoginPauses, LoginRefused, serverOf } from '../../src/git/login-pauses.ts';

test('a repository that refused the login is left alone for a while, and SIGHUP ends that', async () => {
  const { refuse, ask, tried, clock, pauses } = world();
  await assert.rejects(refuse('a'), LoginRefused);
  await assert.rejects(ask('a'), (error: Error) => {
    assert.ok(error instanceof Forbidden);
    assert.match(error.message, /^a: no; not asked again for 60 s, or until SIGHUP$/);
    return true;
  });
  await ask('b');
  clock.nowMs += GIT_REFUSED_MS;
  await ask('a');
  await assert.rejects(refuse('a'));
  pauses.clear();
  await ask('a');
  assert.deepEqual(tried, ['a', 'b', 'a', 'a', 'a']);
});

test('after a few refusals the server is left alone, and another server is not', async () => {
  const { refuse, ask, tried, clock } = world();
  for (let at = 0; at < GIT_REFUSALS_MAX; at++) await assert.rejects(refuse(`a${at}`), LoginRefused);
  await assert.rejects(ask('b'), /its server refused 3 logins: a2: no; not asked again for 900 s/);
  await ask('c', { server: 'ssh://other.example' });
  clock.nowMs += GIT_REFUSALS_MS;
  await ask('b');
  assert.equal(tried.length, GIT_REFUSALS_MAX + 2);
});

test('a login that works is forgiven the refusals before', async () => {
  const { refuse, ask } = world();
  for (let at = 0; at < 10; at++) {
    await assert.rejects(refuse(`a${at}`), LoginRefused);
    await ask('b');
  }
});

test('without a login nothing is counted', async () => {
  const { refuse, ask } = world();
  for (let at = 0; at < 10; at++) {
    const refused = refuse('a', { isAnonymous: true });
    await assert.rejects(refused, (error) => error instanceof LoginRefused && error.isAnonymous === true);
  }
  await ask('a');
});

test('forty at once are a few wrong logins, or one wait for the first right one', async () => {
  const { refuse, ask, tried } = world();
  const wrong = await Promise.allSettled(Array.from({ length: 40 }, (_, at) => refuse(`a${at}`)));
  assert.ok(wrong.every(({ status }) => status === 'rejected'));
  assert.equal(tried.length, GIT_REFUSALS_MAX);
  const server = 'https://right.example';
  const gate = Promise.withResolvers<void>();
  const first = ask('b', { server, until: gate.promise });
  const others = Array.from({ length: 40 }, (_, at) => ask(`b${at}`, { server }));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(tried.length, GIT_REFUSALS_MAX + 1);
  gate.resolve();
  await Promise.all([first, ...others]);
});

test('a server that is down holds up nobody but those who wait for its first answer', async () => {
  const { pauses, target } = world();
  const down = () => Promise.reject(new UpstreamDown('down'));
  await assert.rejects(pauses.ask(target('a'), down), UpstreamDown);
  const hanging = pauses.ask(target('a'), () => new Promise<void>(() => {}));
  void hanging;
  assert.equal(await pauses.ask(target('a'), async () => 1), 1);
});

test('the server of a URL has its user and its port', () => {
  assert.equal(serverOf('ssh://git@h:2222/x/y'), 'ssh://git@h:2222');
  assert.equal(serverOf('https://h/x?go-get=1'), 'https://h');
  assert.equal(serverOf('file:///srv/git'), 'file://');
});

function world() {
  const clock = { nowMs: 0, wallMs: () => 0, monotonicMs: () => clock.nowMs };
  const pauses = new LoginPauses(clock);
  const tried: string[] = [];
  const target = (url: string, server = 'https://h', isAnonymous = false) => ({
    url,
    server,
    isAnonymous: async () => isAnonymous,
  });
  const refuse = (url: string, { isAnonymous = false } = {}) =>
    pauses.ask(target(url, 'https://h', isAnonymous), async () => {
      tried.push(url);
      throw new LoginRefused(`${url}: no`, { isAnonymous: undefined });
    });
  const ask = (
    url: string,
    { server = 'https://h', until }: { server?: string; until?: Promise<void> } = {},
  ) =>
    pauses.ask(target(url, server), async () => {
      tried.push(url);
      await until;
    });
  return { clock, pauses, tried, target, refuse, ask };
}
