// Goal: requests go to the database that they name, and private paths to none. A proven record judges the files that
// the module proxy wants to keep, within a bounded time.
// Method: databases that give the test's answers; the wait is on mocked timers.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { StoredFile } from '../../src/core/answer.ts';
import type { Summed } from '../../src/core/checksums.ts';
import {
  BadRequest,
  CheckFailed,
  Forbidden,
  Gone,
  NotFound,
  StoreFailed,
  UpstreamDown,
  UpstreamFailed,
} from '../../src/core/errors.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import { ChecksumDatabases } from '../../src/sumdb/checksum-databases.ts';
import { parseDatabases } from '../../src/sumdb/database.ts';
import { SUMDB_WAIT_MS } from '../../src/sumdb/limits.ts';
import { NotStored } from '../../src/sumdb/proven-log.ts';
import { parseSumdbPath } from '../../src/sumdb/sumdb-path.ts';
import type { SumdbProxy } from '../../src/sumdb/sumdb-proxy.ts';

const H1 = `h1:${'A'.repeat(43)}=`;
const OTHER = `h1:${'B'.repeat(43)}=`;

type Says = string | Error | Promise<string>;

/** A database in which every record is `says`. */
function databaseOf(says: Says, asked: string[] = []): SumdbProxy {
  const lookup: SumdbProxy['lookup'] = async ({ module, version }) => {
    asked.push(`${module}@${version}`);
    if (says instanceof Error) throw says;
    const body = new TextEncoder().encode(`7\n${await says}\nthe head\n`);
    const file = {
      kind: 'lookup',
      status: 200,
      size: body.byteLength,
      body,
      visibility: 'public',
    } as const;
    const stored = new StoredFile({ ...file, blob: undefined, sha256: '', freshUntilMs: 0 });
    return { file: stored, origin: 'upstream' };
  };
  const get: SumdbProxy['get'] = async (ask) => {
    asked.push(ask.kind);
    return {
      kind: 'head',
      status: 200,
      origin: 'memory',
      size: 0,
      sha256: undefined,
      body: new Uint8Array(),
    };
  };
  return { lookup, get } as unknown as SumdbProxy; // The two that are called.
}

function databasesOf(says: Says, exemptPatterns = '', asked: string[] = []): ChecksumDatabases {
  return new ChecksumDatabases({
    databases: new Map([['sum.example', databaseOf(says, asked)]]),
    exemptPatterns,
  });
}

function resourceOf(path: string): Resource {
  const resource = parseResource(path);
  assert.ok(resource !== undefined, path);
  return resource;
}
const zip = resourceOf('example.com/m/@v/v1.0.0.zip') as Summed;
const mod = resourceOf('example.com/m/@v/v1.0.0.mod') as Summed;

const both = `example.com/m v1.0.0 ${H1}\nexample.com/m v1.0.0/go.mod ${OTHER}\n`;
const judgements: {
  why: string;
  says: Says;
  resource: Summed;
  h1: string;
  trust: string | typeof CheckFailed;
}[] = [
  { why: 'the same', says: both, resource: zip, h1: H1, trust: 'confirmed' },
  { why: 'the same go.mod', says: both, resource: mod, h1: OTHER, trust: 'confirmed' },
  { why: "another, the go.mod's", says: both, resource: zip, h1: OTHER, trust: CheckFailed },
  { why: 'another go.mod', says: both, resource: mod, h1: H1, trust: CheckFailed },
  {
    why: 'the same in other base64',
    says: both,
    resource: zip,
    h1: `${H1.slice(0, -2)}B=`,
    trust: CheckFailed,
  },
  {
    why: 'a record of the go.mod alone',
    says: `example.com/m v1.0.0/go.mod ${OTHER}\n`,
    resource: zip,
    h1: H1,
    trust: 'unknown',
  },
  {
    why: 'a version that begins like it',
    says: `example.com/m v1.0.0-pre ${OTHER}\n`,
    resource: zip,
    h1: H1,
    trust: 'unknown',
  },
  { why: 'unknown to it', says: new NotFound('no'), resource: zip, h1: H1, trust: 'unknown' },
  { why: 'unknown to it for good', says: new Gone('no'), resource: zip, h1: H1, trust: 'unknown' },
  { why: 'offline', says: new NotStored('no'), resource: zip, h1: H1, trust: 'unconfirmed' },
  { why: 'out of reach', says: new UpstreamDown('no'), resource: zip, h1: H1, trust: 'unconfirmed' },
  { why: 'broken', says: new UpstreamFailed('no'), resource: zip, h1: H1, trust: 'unconfirmed' },
  {
    why: 'a forged answer confirms nothing',
    says: new CheckFailed('fork'),
    resource: zip,
    h1: H1,
    trust: 'unconfirmed',
  },
  { why: 'a store that fails', says: new StoreFailed('no'), resource: zip, h1: H1, trust: 'unconfirmed' },
];

for (const { why, says, resource, h1, trust } of judgements) {
  test(`judged: ${why}`, async () => {
    const judging = databasesOf(says).judge(resource, h1);
    if (typeof trust === 'string') assert.equal(await judging, trust);
    else
      await assert.rejects(judging, (error) => {
        const { message } = error as Error;
        return error instanceof trust && message.includes(H1) && message.split('h1:').length === 3;
      });
  });
}

test('a claim is the h1 in the answer under way for that file, and nothing else', async () => {
  const claiming = (text: string) =>
    new ChecksumDatabases({
      databases: new Map([
        ['sum.example', { claimed: async () => text.split('\n') } as unknown as SumdbProxy], // All that is called.
      ]),
      exemptPatterns: '',
    });
  assert.equal(await claiming(both).isClaimed(zip, H1), true);
  assert.equal(await claiming(both).isClaimed(mod, OTHER), true);
  assert.equal(await claiming(both).isClaimed(zip, OTHER), false, "the go.mod's");
  assert.equal(await claiming('').isClaimed(zip, H1), false, 'nothing came');
  const none = new ChecksumDatabases({ databases: new Map(), exemptPatterns: '' });
  assert.equal(await none.isClaimed(zip, H1), false, 'no database');
});

test('a bug is not taken for a database out of reach', async () => {
  await assert.rejects(databasesOf(new TypeError('bug')).judge(zip, H1), TypeError);
});

test('the wait for a slow database is bounded', async (t: TestContext) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const judging = databasesOf(new Promise<string>(() => {})).judge(zip, H1);
  let trust: string | undefined;
  void judging.then((value) => {
    trust = value;
  });
  t.mock.timers.tick(SUMDB_WAIT_MS - 1);
  await new Promise(setImmediate);
  assert.equal(trust, undefined);
  t.mock.timers.tick(1);
  assert.equal(await judging, 'unconfirmed');
});

const covered: { path: string; patterns: string; isCovered: boolean; why: string }[] = [
  { path: 'example.com/m/@v/v1.0.0.zip', patterns: '', isCovered: true, why: 'a zip' },
  { path: 'example.com/m/@v/v1.0.0.mod', patterns: '', isCovered: true, why: 'a go.mod' },
  { path: 'example.com/m/@v/v1.0.0.info', patterns: '', isCovered: false, why: 'go.sum has no line for it' },
  { path: 'example.com/m/@v/list', patterns: '', isCovered: false, why: 'a list' },
  {
    path: 'example.com/m/@v/v1.0.0.zip',
    patterns: 'other.example',
    isCovered: true,
    why: 'another is private',
  },
  { path: 'example.com/m/@v/v1.0.0.zip', patterns: 'example.com', isCovered: false, why: 'private' },
  { path: 'example.com/m/@v/v1.0.0.mod', patterns: 'x,*.com/m', isCovered: false, why: 'private by a glob' },
];

for (const { path, patterns, isCovered, why } of covered) {
  test(`${isCovered ? 'checked' : 'not checked'}: ${why}`, () => {
    assert.equal(databasesOf(both, patterns).covers(resourceOf(path)), isCovered);
    const none = new ChecksumDatabases({ databases: new Map(), exemptPatterns: patterns });
    assert.equal(none.covers(resourceOf(path)), false, 'without a database nothing is');
  });
}

test('a private module is not prefetched either', async () => {
  const asked: string[] = [];
  const databases = databasesOf(both, 'example.com/m', asked);
  databases.prefetch(zip);
  databases.prefetch(resourceOf('example.com/other/@v/v1.0.0.zip') as Summed);
  assert.deepEqual(asked, ['example.com/other@v1.0.0']);
});

test('requests go to the database that they name; lookups of private modules go to none', async () => {
  const [one, two]: string[][] = [[], []];
  const databases = new ChecksumDatabases({
    databases: new Map([
      ['one.example', databaseOf(both, one)],
      ['two.example', databaseOf(both, two)],
    ]),
    exemptPatterns: 'private.example',
  });
  const get = (path: string) => {
    const ask = parseSumdbPath(`sumdb/${path}`);
    assert.ok(ask !== undefined, path);
    return databases.get(ask, { mayFetch: true });
  };
  await get('one.example/latest');
  await get('two.example/lookup/example.com/m@v1.0.0');
  await get('two.example/tile/8/0/000');
  await assert.rejects(get('three.example/supported'), NotFound);
  await assert.rejects(get('one.example/lookup/private.example/m@v1.0.0'), Forbidden);
  assert.deepEqual([one, two], [['head'], ['lookup', 'tile']]);
});

const paths: { path: string; ask?: [database: string, kind: string]; why: string }[] = [
  { path: 'a.example/supported', ask: ['a.example', 'supported'], why: 'a host' },
  { path: 'a.example/sumdb/latest', ask: ['a.example/sumdb', 'head'], why: 'a host and a path' },
  { path: 'a.example/sumdb/tile/8/0/000', ask: ['a.example/sumdb', 'tile'], why: 'a tile of it' },
  {
    path: 'a.example/lookup/b.example/lookup/c@v1.0.0',
    ask: ['a.example', 'lookup'],
    why: 'a module with a word of ours in its path',
  },
  { path: 'supported', why: 'no name' },
  { path: '/supported', why: 'an empty name' },
  { path: 'a.example//supported', why: 'an empty element' },
  { path: 'a.example/supported/', why: 'more than a request' },
  { path: 'a.example/other', why: 'no request' },
  { path: 'a:b/supported', why: 'no name of a host' },
  { path: `${'a'.repeat(4000)}/supported`, why: 'longer than any' },
  { path: `${'a/'.repeat(1000)}lookup`, why: 'many names, no request' },
];

for (const { path, ask, why } of paths) {
  test(`a path with ${why}`, () => {
    const parsed = parseSumdbPath(`sumdb/${path}`);
    assert.deepEqual(parsed && [parsed.database, parsed.kind], ask);
  });
}

// --sumdb, with the syntax of GOSUMDB. All keys but that of sum.golang.org are made up.

const KEY = 'one.example+68a40f88+AXtRn2G7zmhsIZbEYHJr01+4QCsTrUvJCRmb0BGQMhGV';
const REAL = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
const settings: { text: string; databases?: [name: string, url: string][]; why: string }[] = [
  { text: 'sum.golang.org', databases: [['sum.golang.org', 'https://sum.golang.org']], why: 'a known name' },
  {
    text: 'sum.golang.google.cn',
    databases: [['sum.golang.org', 'https://sum.golang.google.cn']],
    why: 'another host of it',
  },
  {
    text: REAL,
    databases: [['sum.golang.org', 'https://sum.golang.org']],
    why: 'a key, its host from its name',
  },
  {
    text: `${REAL} http://127.0.0.1:1/path/`,
    databases: [['sum.golang.org', 'http://127.0.0.1:1/path']],
    why: 'a key and a URL',
  },
  {
    text: ' sum.golang.org  https://host.example ',
    databases: [['sum.golang.org', 'https://host.example']],
    why: 'a name and a URL, spaces',
  },
  { text: 'off', databases: [], why: 'none' },
  { text: 'sum.golang.org,off', databases: [], why: 'none after all' },
  { text: '', databases: [], why: 'nothing' },
  { text: 'unknown.example', why: 'a name without a key' },
  { text: 'constructor', why: 'a name that every object has, but no key' },
  { text: `${REAL}x`, why: 'a key of another length' },
  { text: REAL.replace('033de0ae', '033de0af'), why: 'a hash of another key' },
  { text: `${REAL} ftp://host.example`, why: 'no HTTP' },
  { text: `${REAL} host.example`, why: 'no URL' },
  { text: `${REAL} https://host.example more`, why: 'more than a URL' },
  { text: `${REAL},sum.golang.org`, why: 'one name twice' },
  { text: KEY, why: 'a key whose hash is made up' },
];

for (const { text, databases, why } of settings) {
  test(`--sumdb ${databases === undefined ? 'refuses' : 'takes'} ${why}`, () => {
    if (databases === undefined) {
      assert.throws(() => parseDatabases(text), BadRequest);
      return;
    }
    assert.deepEqual(
      parseDatabases(text).map(({ name, url }) => [name, url]),
      databases,
    );
  });
}
