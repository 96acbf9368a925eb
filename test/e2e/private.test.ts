// Goal: who hears of a module under GOPRIVATE, GONOPROXY, GONOSUMDB and their kin, on every way out: clients'
// requests and lookups, the check of an import in the background, `warm`, `verify --online`.
// Method: a table of settings; for each a real server and real commands between an upstream list and a checksum
// database's host, both of which write down what they are asked. One test has the go command ask for itself, of servers
// of one store that know it as private or not, from networks that may read it or not.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Astera, runAstera } from '../support/astera.ts';
import { writeDownloadCache } from '../support/download-cache.ts';
import { fileOf, hidden, madeUp, startDatabaseOf } from '../support/forged-modules.ts';
import { GoClient } from '../support/go.ts';
import { LyingUpstream } from '../support/lying-upstream.ts';
import type { SumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Comes after `hidden` in every walk: when it is looked up, the other was dealt with. */
const open = madeUp('open');
const modules = [hidden, open];

let db: SumdbServer;
before(async () => {
  db = await startDatabaseOf(modules);
});
after(() => db.close());

type Row = {
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Whether the upstream list is asked for the module's files. */
  readonly files: boolean;
  /** Who is asked for its record. */
  readonly lookups: 'list' | 'host' | 'nobody';
  readonly why: string;
};

const H = hidden.path;
const table: readonly Row[] = [
  { files: true, lookups: 'list', why: 'nothing is set' },
  { env: { GOPRIVATE: H }, files: false, lookups: 'nobody', why: 'GOPRIVATE is the default of both' },
  { flags: ['--private', H], files: false, lookups: 'nobody', why: '--private is the same' },
  { env: { GONOPROXY: H }, files: false, lookups: 'host', why: 'a lookup names the module to the list too' },
  { env: { GONOSUMDB: H }, files: true, lookups: 'nobody', why: 'GONOSUMDB alone' },
  { env: { GOPRIVATE: H, GONOPROXY: 'none' }, files: true, lookups: 'nobody', why: 'a proxy of the company' },
  {
    env: { GOPRIVATE: H, GONOSUMDB: 'none' },
    files: false,
    lookups: 'host',
    why: 'a database of the company',
  },
  {
    env: { GONOPROXY: 'none', GONOSUMDB: 'none' },
    flags: ['--private', H],
    files: true,
    lookups: 'list',
    why: 'both take it back',
  },
];

/** All that a client may ask of the module, and the probes that `go get` makes of what lies below it. */
const paths = [
  ...['info', 'mod', 'zip'].map((kind) => `${H}/@v/v1.0.1.${kind}`),
  ...['@v/list', '@latest', '@v/main.info', 'sub/@v/list', 'sub/deep/@latest'].map((rest) => `${H}/${rest}`),
  ...[`mod/${H}/@v/list`, `cached-only/${H}/@v/list`],
];

for (const { env = {}, flags = [], files, lookups, why } of table) {
  const name = [...Object.entries(env).map((pair) => pair.join('=')), ...flags].join(' ') || 'no setting';
  test(`${name}: ${why}`, async (t) => {
    const directory = tempDir(t);
    const list = await LyingUpstream.start(modules, { database: db });
    t.after(() => list.close());
    const askedOfHost: string[] = [];
    const host = createServer((request, response) => {
      const path = decodeURIComponent((request.url ?? '/').slice(1));
      askedOfHost.push(path);
      db.fetch(path).then(
        (bytes) => response.end(bytes),
        () => response.writeHead(404).end(),
      );
    }).listen(0, '127.0.0.1');
    await once(host, 'listening');
    t.after(() => host.close());
    const hostUrl = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
    const looked = Promise.withResolvers<void>();
    list.alter = (path, bytes) => {
      if (path.includes('/lookup/made-up.example/open@')) looked.resolve();
      return bytes;
    };
    const told = () => ({
      files: list.asked.some((path) => path.startsWith(H)),
      lookups: list.asked.some((path) => path.includes(`lookup/${H}`))
        ? 'list'
        : askedOfHost.some((path) => path.includes(H))
          ? 'host'
          : 'nobody',
    });
    const forget = () => {
      list.asked = [];
      askedOfHost.length = 0;
    };
    const settings = { ...env, ASTERA_SUMDB: `${db.verifierKey} ${hostUrl}`, ASTERA_UPSTREAM: list.url };

    const cache = join(directory, 'cache');
    writeDownloadCache(cache, modules);
    const astera = await Astera.start({
      upstream: list.url,
      flags: [...flags, '--import-local-cache', '--local-cache-dir', cache],
      env: settings,
    });
    t.after(() => astera.dispose());
    await looked.promise;
    assert.deepEqual(told(), { files: false, lookups }, 'the check of an import');

    forget();
    for (const path of paths) {
      for (const method of ['GET', 'HEAD']) {
        const { status } = await astera.get(path, { method });
        if (!files) assert.equal(status, 403, `${method} ${path}`);
      }
    }
    assert.equal(told().files, files, 'requests for files');

    const record = `sumdb/${db.name}/lookup/${H}@v1.0.0`;
    forget();
    assert.equal((await astera.get(record)).status, lookups === 'nobody' ? 403 : 200);
    await astera.stop();

    const wanted = join(directory, 'wanted.txt');
    await writeFile(wanted, modules.map(({ path, version }) => `${path}@${version}\n`).join(''));
    forget();
    const warm = await runAstera(['warm', ...flags, '--db', join(directory, 'own.db'), wanted], settings);
    assert.equal(warm.code, files ? 0 : 1, warm.stderr);
    assert.deepEqual(told(), { files, lookups: files ? lookups : 'nobody' }, 'warm');
    assert.ok(list.asked.includes(fileOf(open, 'zip')), 'what is public is fetched');

    forget();
    await runAstera(['verify', '--online', '--db', astera.db, ...flags], settings);
    assert.deepEqual(told(), { files: false, lookups }, 'verify --online');
  });
}

test('the go command gets a private module from an allowed network only, whatever was stored before', async (t) => {
  const upstream = await LyingUpstream.start(modules, {});
  t.after(() => upstream.close());
  const store = join(tempDir(t), 'a.db');
  const secret = { GOPRIVATE: H, GONOPROXY: 'none', ASTERA_VERIFY: 'off' };
  const far = ['--private-allow', '10.0.0.0/8,::ffff:10.0.0.0/104'];
  const rows: { why: string; env: Row['env']; flags: readonly string[]; isGiven: boolean }[] = [
    { why: 'public, and so it is stored', env: { ASTERA_VERIFY: 'off' }, flags: [], isGiven: true },
    { why: 'private from now on, for another network', env: secret, flags: far, isGiven: false },
    { why: 'private, for this machine', env: secret, flags: [], isGiven: true },
    { why: 'public again', env: { ASTERA_VERIFY: 'off' }, flags: far, isGiven: true },
  ];
  for (const { why, env, flags, isGiven } of rows) {
    const astera = await Astera.start({ upstream: upstream.url, db: store, flags, ...(env && { env }) });
    t.after(() => astera.dispose());
    const isPrivate = env === secret;
    const go = await GoClient.create(astera.url);
    t.after(() => go.dispose());
    // Twice: the second client's files are in memory.
    for (const round of [1, 2]) {
      await go.emptyModuleCache();
      const got = await go.run('mod', 'download', '-json', `${H}@v1.0.0`);
      assert.equal(got.code, isGiven ? 0 : 1, `${why}, ${round}: ${got.stdout}`);
      if (!isGiven) assert.match(got.stdout, /403 Forbidden.*private here.*--private-allow/);
      assert.equal((await go.run('mod', 'download', '-json', `${open.path}@v1.0.0`)).code, 0, why);
    }
    const { status, headers } = await astera.get(fileOf(hidden, 'mod'));
    assert.equal(status, isGiven ? 200 : 403);
    assert.equal(/^(?:private, )?no-store$/.test(headers.get('cache-control') ?? ''), isPrivate, why);
    await astera.stop();
    if (!isGiven) assert.doesNotMatch(astera.log, /made-up\.example\/hidden/);
  }
});
