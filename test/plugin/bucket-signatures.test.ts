// Goal: in a bucket that others can write to, a machine with keys takes only what a trusted key has signed, from packs and from
// go-cache-plugin's objects; what it refuses it signs anew where it can; go-cache-plugin reads what it always read.
// Method: a real S3 server, whose objects are read and forged by whoever has its keys.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { findCredentials } from '../../src/bucket/credentials.ts';
import { decodePackIndex, encodePackIndex, packSetKey } from '../../src/packs/pack-index.ts';
import { BucketCache } from '../../src/plugin/bucket-cache.ts';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { openPrefetch } from '../../src/plugin/open-prefetch.ts';
import { Packs } from '../../src/plugin/packs.ts';
import type { Signatures } from '../../src/plugin/signatures.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { keysOf, NO_KEYS, writeKey } from '../support/signing-keys.ts';
import { tempDir } from '../support/temp-dir.ts';

const ACTION = id('action');
const NAME = { key: id('key'), project: id('project'), module: id('module'), label: 'go build' };

let server: BucketServer;
let ci = '';
let other = '';
const disposers: (() => void)[] = [];
before(async () => {
  const directory = tempDir({ after: (dispose) => disposers.push(dispose) });
  server = await BucketServer.start(directory);
  ci = writeKey(directory, 'ci');
  other = writeKey(directory, 'other');
});
after(async () => {
  await server.stop();
  for (const dispose of disposers) dispose();
});

function id(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A machine with these keys. Each test has a prefix of its own. */
function open(t: TestContext, signatures: Signatures) {
  const warn = () => {};
  const local = new LocalCache({
    directory: join(tempDir(t), 'cache'),
    namespace: 'main',
    now: Date.now,
    warn,
  });
  const remote = new BucketCache({
    bucket: {
      name: 'bucket',
      region: 'us-east-1',
      endpoint: new URL(server.url),
      isPathStyle: true,
      prefix: id(t.name).slice(0, 12),
    },
    findCredentials: () => findCredentials(BUCKET_KEYS),
    timeoutMs: 10_000,
    shareCgo: 'off',
    now: Date.now,
    warn,
    signatures,
  });
  t.after(() => remote.close());
  const keep = (body: string) => {
    const put = local.beginPut({ outputId: id(body), size: body.length });
    put.write(Buffer.from(body));
    return put.finish({ actionId: ACTION });
  };
  const options = { shareCgo: 'off', uploadBytesMin: 0, prefetchBytesMax: 1e9, deltas: true } as const;
  const packs = new Packs({ ...options, signatures, objects: remote.objects, local });
  return {
    local,
    remote,
    put: (body: string) => remote.put(ACTION, keep(body)),
    /** A build that makes it here. */
    pack: async (body: string) => {
      keep(body);
      await packs.open(NAME, []);
      packs.note(NAME, [ACTION]);
      await packs.close(60_000);
    },
    /** What packs bring. */
    fetched: async () => {
      const prefetch = openPrefetch({ name: NAME, local, packs, signatures, options, now: Date.now });
      const got = await prefetch.get(ACTION);
      prefetch.close();
      return got !== 'alone' && got.entry !== undefined ? readFileSync(got.entry.path, 'latin1') : undefined;
    },
  };
}

type Machine = ReturnType<typeof open>;

async function got({ remote, local }: Machine): Promise<string | undefined> {
  const entry = await remote.get(ACTION, local);
  return entry && readFileSync(entry.path, 'latin1');
}

const readers: { why: string; keys: () => Signatures; writer: () => Signatures; is: boolean }[] = [
  { why: 'its own key', writer: () => keysOf(ci), keys: () => keysOf(ci), is: true },
  {
    why: 'a key that is trusted',
    writer: () => keysOf(ci),
    keys: () => keysOf(undefined, `${ci}.pub`),
    is: true,
  },
  {
    why: 'one of several trusted keys',
    writer: () => keysOf(ci),
    keys: () => keysOf(other, `${ci}.pub`),
    is: true,
  },
  { why: 'any key, without keys of its own', writer: () => keysOf(ci), keys: () => NO_KEYS, is: true },
  { why: 'no key', writer: () => NO_KEYS, keys: () => keysOf(undefined, `${ci}.pub`), is: false },
  { why: 'another key', writer: () => keysOf(other), keys: () => keysOf(undefined, `${ci}.pub`), is: false },
];

for (const { why, writer, keys, is } of readers) {
  test(`an entry signed by ${why} ${is ? 'counts' : 'is a miss'}`, async (t) => {
    const first = open(t, writer());
    assert.equal(await first.put('body'), 'stored');
    await first.pack('body');
    const reader = keys();
    assert.equal(await got(open(t, reader)), is ? 'body' : undefined);
    assert.equal(await open(t, reader).fetched(), is ? 'body' : undefined);
    assert.equal(reader.refused, is ? 0 : 2);
  });
}

test('an action that somebody made name another whole output is a miss', async (t) => {
  assert.equal(await open(t, keysOf(ci)).put('good'), 'stored');
  const attacker = open(t, NO_KEYS);
  const path = attacker.remote.objects.path(`action/${ACTION.slice(0, 2)}/${ACTION}`);
  const answer = await attacker.remote.objects.open(path);
  answer?.resume();
  const evil = Buffer.from('evil');
  await attacker.remote.objects.store(
    attacker.remote.objects.path(`output/${id('evil').slice(0, 2)}/${id('evil')}`),
    { size: 4, body: evil },
    id('evil'),
  );
  const body = Buffer.from(`${id('evil')} 1700000000000000000`);
  // With the signature of the good one.
  const metadata = {
    'x-amz-meta-astera-signature': `${answer?.headers['x-amz-meta-astera-signature']}`,
  };
  const hash = createHash('sha256').update(body).digest('hex');
  await attacker.remote.objects.store(path, { size: body.length, body }, hash, {
    isReplaced: true,
    metadata,
  });
  assert.equal(await got(open(t, NO_KEYS)), 'evil');
  assert.equal(await got(open(t, keysOf(undefined, `${ci}.pub`))), undefined);
});

test('a row that somebody made name another whole output is a miss, and the next machine with a key signs it anew', async (t) => {
  await open(t, keysOf(ci)).pack('good');
  const path = join(server.directory, id(t.name).slice(0, 12), packSetKey(NAME.key));
  const good = decodePackIndex(readFileSync(path));
  const attacker = open(t, NO_KEYS);
  await attacker.pack('evil');
  // Its chunk with the good one's name and signature.
  const forged = encodePackIndex({
    ...good,
    rows: good.rows.map((row) => ({ ...row, outputId: id('evil'), size: 4 })),
  });
  for (const key of [NAME.key, NAME.project]) {
    const object = attacker.remote.objects.path(packSetKey(key));
    const hash = createHash('sha256').update(forged).digest('hex');
    await attacker.remote.objects.store(object, { size: forged.length, body: forged }, hash, {
      isReplaced: true,
    });
  }
  const signer = open(t, keysOf(ci));
  assert.equal(await signer.fetched(), undefined);
  await signer.pack('good');
  assert.equal(await open(t, keysOf(undefined, `${ci}.pub`)).fetched(), 'good');
});

test('what has no trusted signature is signed anew by a machine with a key, and keeps the others', async (t) => {
  const writer = open(t, keysOf(other));
  await writer.put('body');
  await writer.pack('body');
  const signer = open(t, keysOf(ci));
  assert.equal(await signer.put('body'), 'stored');
  await signer.pack('body');
  for (const key of [ci, other]) {
    const keys = keysOf(undefined, `${key}.pub`);
    assert.equal(await got(open(t, keys)), 'body');
    assert.equal(await open(t, keys).fetched(), 'body');
  }
});

test('an object of go-cache-plugin gets a signature and stays what it is', async (t) => {
  await open(t, NO_KEYS).put('body');
  const path = join(server.directory, id(t.name).slice(0, 12), 'action', ACTION.slice(0, 2), ACTION);
  assert.match(readFileSync(path, 'latin1'), /^[0-9a-f]{64} [0-9]+$/);
  await open(t, keysOf(ci)).put('body');
  assert.match(readFileSync(path, 'latin1'), /^[0-9a-f]{64} [0-9]+$/);
  assert.equal(await got(open(t, keysOf(ci))), 'body');
});
