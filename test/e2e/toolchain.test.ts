// Goal: the `go` command switches its toolchain through Astera and nothing else, and never to one that the
// checksum database contradicts, whatever the settings of either say of checksums.
// Method: the real `go` is told to use a version that nobody has; its toolchain is a made-up module, a
// small zip with a script for `bin/go`, with a record in x/mod's own checksum database.

import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import { makeZip } from '../modzip/zip-writer.ts';
import { Astera } from '../support/astera.ts';
import { dumpStore } from '../support/dump-store.ts';
import { GoClient } from '../support/go.ts';
import { LyingUpstream } from '../support/lying-upstream.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

const TOOLCHAIN = 'go1.999.1';
const platform = `linux-${process.arch === 'x64' ? 'amd64' : process.arch}`;
const [path, version] = ['golang.org/toolchain', `v0.0.1-${TOOLCHAIN}.${platform}`];
const key = `${path}/@v/${version}.zip`;

/** As real ones are: no go.mod, thousands of files (here some), those of src with their go.mod in disguise. */
function toolchainZip(says: string): Buffer {
  const files = {
    VERSION: `${TOOLCHAIN}\n`,
    'bin/go': `#!/bin/sh\necho "${says}: $*"\n`,
    'bin/gofmt': '#!/bin/sh\n',
    'lib/wasm/go_js_wasm_exec': '#!/bin/sh\n',
    [`pkg/tool/${platform.replace('-', '_')}/compile`]: Buffer.alloc(700_000, 'machine code '),
    'src/_go.mod': 'module std\n\ngo 1.999\n',
    'src/cmd/_go.mod': 'module cmd\n\ngo 1.999\n',
    'src/cmd/go/testdata/mod/example.com_v1.0.0.txt': 'x\n',
  };
  const entries = Object.entries(files).map(([name, content]) => ({
    name: `${path}@${version}/${name}`,
    content,
  }));
  return makeZip(entries);
}
const zip = toolchainZip('switched');

let db: SumdbServer;
before(async () => {
  db = await startSumdbServer({ records: 300 });
  const { h1 } = hashZip(bufferSource(zip), { module: path, version });
  const mod = hashGoMod(Buffer.from(`module ${path}\n`));
  await db.ask({ Cmd: 'add', Texts: [`${path} ${version} ${h1}\n${path} ${version}/go.mod ${mod}\n`] });
  await db.ask({ Cmd: 'grow', N: 100 });
});
after(() => db.close());

async function makeWorld(t: TestContext, given: Buffer, env: Record<string, string> = {}) {
  const upstream = await LyingUpstream.start([], { database: db });
  t.after(() => upstream.close());
  upstream.alter = (asked, bytes) => (asked === key ? given : bytes);
  const astera = await Astera.start({ upstream: upstream.url, flags: ['--sumdb', db.verifierKey], env });
  t.after(() => astera.dispose());
  return { upstream, astera };
}

/** `go version` on a machine that has nothing but the name of another toolchain. */
async function goVersion(t: TestContext, url: string, env: Record<string, string> = {}) {
  const client = await GoClient.create(url, {
    sumdb: db.verifierKey,
    env: { GOTOOLCHAIN: TOOLCHAIN, ...env },
  });
  t.after(() => client.dispose());
  return client.run('version');
}

test('a toolchain comes through Astera: cold, warm, with the upstream gone, after a restart offline', async (t) => {
  const { upstream, astera } = await makeWorld(t, zip);
  const works = async (url: string, state: string) => {
    const { code, stdout, stderr } = await goVersion(t, url);
    assert.equal(code, 0, `${state}: ${stderr}`);
    assert.equal(stdout, 'switched: version\n', state);
  };
  await works(astera.url, 'cold');
  assert.equal(upstream.count(/\/lookup\/golang\.org\/toolchain@/), 1);
  upstream.asked = [];
  await works(astera.url, 'warm');
  assert.deepEqual(upstream.asked, []);
  await upstream.close();
  await works(astera.url, 'upstream gone');
  await astera.stop();
  assert.equal(dumpStore(astera.db).entries.find((entry) => entry.key === key)?.trust, 'confirmed');
  const offline = await Astera.start({
    upstream: upstream.url,
    db: astera.db,
    flags: ['--sumdb', db.verifierKey, '--offline'],
  });
  t.after(() => offline.dispose());
  await works(offline.url, 'offline');
});

const settings: { why: string; client?: Record<string, string>; server?: Record<string, string> }[] = [
  { why: 'with no setting', client: {} },
  {
    why: 'where the client checks nothing',
    client: { GONOSUMDB: '*', GONOSUMCHECK: '1', GOFLAGS: '-modcacherw' },
  },
  { why: 'where the server looks nothing up', server: { GONOSUMDB: '*' } },
  { why: 'where neither does', client: { GONOSUMDB: 'golang.org' }, server: { GONOSUMDB: 'golang.org/*' } },
];

for (const { why, client = {}, server = {} } of settings) {
  test(`another toolchain than the database has is refused: ${why}`, async (t) => {
    const { upstream, astera } = await makeWorld(t, toolchainZip('evil'), server);
    const { code, stdout, stderr } = await goVersion(t, astera.url, client);
    assert.notEqual(code, 0);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`download ${TOOLCHAIN.replaceAll('.', '\\.')}`));
    assert.match(await (await astera.get(key)).text(), /^cannot trust golang\.org\/toolchain@.*h1:.*h1:/);
    upstream.alter = (asked, bytes) => (asked === key ? zip : bytes);
    await astera.stop();
    assert.ok(!dumpStore(astera.db).entries.some((entry) => entry.key === key));
    // It was the lie that was refused: by the same settings the truth comes through.
    const honest = await Astera.start({
      upstream: upstream.url,
      db: astera.db,
      flags: ['--sumdb', db.verifierKey],
      env: server,
    });
    t.after(() => honest.dispose());
    const again = await goVersion(t, honest.url, client);
    assert.equal(again.stdout, 'switched: version\n', again.stderr);
  });
}

test('a toolchain that no upstream has is said to be that', async (t) => {
  const { astera } = await makeWorld(t, zip);
  const { code, stderr } = await goVersion(t, astera.url, { GOTOOLCHAIN: 'go1.998.7' });
  assert.notEqual(code, 0);
  assert.match(stderr, /download go1\.998\.7 for \S+: toolchain not available/);
});
