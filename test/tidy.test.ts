// Goal: the house rules that neither tsc nor the linter can say.
// Method: read each source once, as text, and hold it against the tables below.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

/** room -> rooms it may import. Files directly in src/ may import any. */
const mayImport: Record<string, readonly string[]> = {
  core: [],
  modzip: ['core'],
  wire: ['core'],
  observe: ['core'],
  flight: ['core'],
  store: ['core'],
  upstream: ['core'],
  git: ['core', 'modzip'],
  workers: ['core', 'modzip', 'git', 'wire', 'store', 'flight', 'plugin', 'bucket'],
  control: ['core', 'wire'],
  tree: ['core', 'modules', 'sumdb'],
  policy: ['core'],
  modules: ['core', 'modzip', 'flight', 'observe', 'policy'],
  sumdb: ['core', 'modzip', 'flight', 'observe'],
  vulndb: ['core', 'flight', 'observe'],
  access: ['core'],
  oidc: ['core'],
  buildcache: ['core', 'flight', 'observe'],
  status: ['core'],
  page: ['core'],
  front: ['core', 'access', 'modules', 'sumdb', 'vulndb', 'buildcache', 'status', 'observe'],
  settings: ['core', 'access', 'upstream', 'oidc', 'plugin', 'git', 'bucket', 'policy'],
  bucket: ['core'],
  packs: ['core'],
  tier: ['core', 'sumdb', 'packs'],
  plugin: ['core', 'bucket', 'packs'],
};

/** package -> rooms that may know it. */
const mayKnow: Record<string, readonly string[]> = {
  'uWebSockets.js': ['front'],
  'better-sqlite3': ['store'],
  piscina: ['workers'],
  msgpackr: ['wire'],
  undici: ['upstream'],
  pino: ['observe'],
  'pprof-format': ['observe'],
  'prom-client': ['observe'],
  jose: ['oidc'],
  aws4: ['bucket'],
  '@aws-sdk/credential-provider-node': ['bucket'],
  preact: ['page'],
  'preact/hooks': ['page'],
};

const LINES_MAX = 400;

const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.tsx?$/.test(name),
);

test('there are sources to look at', () => {
  assert.ok(files.length > 40, `${files.length} files under src`);
});

for (const file of files) {
  test(`tidy: src/${file}`, () => {
    const text = readFileSync(`src/${file}`, 'utf8');
    assert.match(text, /^\/\*\*/, 'must start with a module header');
    assert.doesNotMatch(text, /^\s*(await )?using /m, 'Node 22 cannot parse `using`');
    assert.ok(text.split('\n').length <= LINES_MAX, `over ${LINES_MAX} lines: split it by noun`);
    assert.match(file, /^([a-z]+\/)?[a-z0-9-]+\.tsx?$/, 'kebab-case, at most one room deep');
    const room = file.includes('/') ? file.slice(0, file.indexOf('/')) : undefined;
    for (const [, name = ''] of text.matchAll(/(?:from|import)\s*\(?'([^'.][^']*)'/g)) {
      const rooms = mayKnow[name];
      if (rooms !== undefined) assert.ok(room !== undefined && rooms.includes(room), `may not know ${name}`);
    }
    if (room === undefined) return;
    if (room === 'serve') assert.doesNotMatch(text, /'\.\.\/commands\//, 'serve may not import commands');
    if (room === 'serve' || room === 'commands') return;
    assert.ok(room in mayImport, `unknown room: ${room}`);
    for (const [, target = ''] of text.matchAll(/(?:from|import)\s*\(?'\.\.\/([a-z]+)\//g)) {
      assert.ok(mayImport[room]?.includes(target), `${room} may not import ${target}`);
    }
    assert.doesNotMatch(text, /from '\.\.\/[a-z0-9-]+\.ts'/, 'a room may not import from above');
  });
}
