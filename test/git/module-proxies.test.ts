// Goal: a host that names a module proxy for a private path has it served from there, and no tag makes it more than that.
// Method: pages and a proxy that are functions and note what they are asked.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Forbidden, UpstreamFailed } from '../../src/core/errors.ts';
import type { Upstream } from '../../src/core/ports.ts';
import { GIT_PROXIES_MAX } from '../../src/git/limits.ts';
import { ModuleProxies } from '../../src/git/module-proxies.ts';
import { parseProxyList } from '../../src/upstream/proxy-list-syntax.ts';
import { tempDir } from '../support/temp-dir.ts';
import { gitRig, request } from './git-rig.ts';

test('all files of a path come from the proxy that its host names, below its root', async (t) => {
  const { rig, asked } = world(t, 'go.corp.example/a mod https://mods.corp.example//go/%7eproxy/');
  assert.equal(await rig.text('go.corp.example/a/b/@v/list'), 'list');
  assert.equal((await rig.zip('go.corp.example/a/b/@v/v1.0.0.zip')).toString(), 'zip');
  const head = await rig.source.head(request('go.corp.example/a/b/@v/v1.0.0.zip'));
  assert.deepEqual(head, { size: 3, upstream: 'mods.corp.example' });
  assert.deepEqual(asked, [
    'https://mods.corp.example/',
    'go/~proxy/go.corp.example/a/b/@v/list',
    'go/~proxy/go.corp.example/a/b/@v/v1.0.0.zip',
    'go/~proxy/go.corp.example/a/b/@v/v1.0.0.zip',
  ]);
});

const refused: { url: string; error: new (...args: never[]) => Error; why: string }[] = [
  { url: 'http://mods.corp.example', error: Forbidden, why: 'http without --insecure' },
  { url: 'ssh://mods.corp.example/x', error: UpstreamFailed, why: 'no proxy speaks ssh' },
  { url: 'https://me:secret@mods.corp.example', error: Forbidden, why: 'a password' },
  { url: 'https://mods.corp.example/?a=b', error: UpstreamFailed, why: 'a query' },
  { url: 'https://mods.corp.example/%zz', error: UpstreamFailed, why: 'a path that is none' },
  { url: 'file:///srv/proxy', error: Forbidden, why: 'a directory of this machine' },
];

for (const { url, error, why } of refused) {
  test(`a proxy that is refused: ${why}`, async (t) => {
    const { rig, asked } = world(t, `go.corp.example/a mod ${url}`);
    await assert.rejects(rig.text('go.corp.example/a/@v/list'), (thrown: Error) => {
      assert.ok(thrown instanceof error, String(thrown));
      assert.doesNotMatch(thrown.message, /secret/);
      return true;
    });
    assert.deepEqual(asked, []);
  });
}

test('a list of proxies is one host that is not there: a comma separates nothing', async (t) => {
  const { rig, asked } = world(t, 'go.corp.example/a mod https://mods.corp.example,https://evil.example');
  await assert.rejects(rig.text('go.corp.example/a/@v/list'));
  assert.deepEqual(asked, []);
});

test('there are only so many', async () => {
  const proxies = new ModuleProxies({ open: () => fake([]), loginFor: async () => undefined });
  for (let host = 0; host < GIT_PROXIES_MAX; host++) await proxies.at(`https://h${host}.example/a`);
  await proxies.at('https://h0.example/b');
  await assert.rejects(proxies.at('https://one-more.example'), UpstreamFailed);
});

test('the login that Git would send goes to the proxy, and to no other', async (t) => {
  const { rig, asked, home } = world(t, 'go.corp.example/a mod https://mods.corp.example/x');
  writeFileSync(join(home, '.netrc'), 'machine mods.corp.example login me password a/b@c\n');
  await rig.text('go.corp.example/a/@v/list');
  assert.equal(asked[0], 'https://me:a%2Fb%40c@mods.corp.example/');
});

test('a login is one of a single proxy, whatever is in it', async () => {
  for (const password of ['1,x.example', 'a|b', '50%', '%41', 'a:b/c@d', 'é \'"\\']) {
    const opened: string[] = [];
    const open = (origin: string) => {
      opened.push(origin);
      return fake([]);
    };
    const proxies = new ModuleProxies({ open, loginFor: async () => ({ login: 'me,too', password }) });
    await proxies.at('https://mods.corp.example/a');
    const members = parseProxyList(opened[0] ?? '');
    assert.equal(members.length, 1, password);
    const [member] = members;
    assert.ok(member?.kind === 'http');
    assert.equal(member.url.host, 'mods.corp.example');
    assert.equal(decodeURIComponent(member.url.username), 'me,too');
    assert.equal(decodeURIComponent(member.url.password), password);
  }
});

function world(t: { after(dispose: () => void): void }, content: string) {
  const asked: string[] = [];
  const page = Buffer.from(`<meta name="go-import" content="${content}">`);
  const home = tempDir(t);
  const rig = gitRig({
    home,
    get: async () => ({ status: 200, body: page }),
    openProxy: (origin) => {
      asked.push(origin);
      return fake(asked);
    },
  });
  return { rig, asked, home };
}

function fake(asked: string[]): Upstream {
  const upstream = 'mods.corp.example';
  return {
    isDown: false,
    whole: async ({ path }) => {
      asked.push(path);
      return { bytes: Buffer.from('list'), upstream };
    },
    head: async ({ path }) => {
      asked.push(path);
      return { size: 3, upstream };
    },
    async *stream({ path }) {
      asked.push(path);
      yield { kind: 'start', offset: 0, size: 3, validator: {}, upstream };
      yield { kind: 'bytes', bytes: Buffer.from('zip') };
    },
  };
}
