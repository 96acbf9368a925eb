// Goal: all object stores keep the same promises.
// Method: one suite against each: the one in memory that other tests use, and the one over S3 against a real server. SQLite is
// held to the part that it shares: what is put is read back whole and by parts, and listed in order, page by page.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { S3ObjectStore } from '../../src/bucket/s3-object-store.ts';
import { ServerKeys } from '../../src/bucket/server-keys.ts';
import { collect } from '../../src/core/collect.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { bodyOf, type ObjectStore } from '../../src/core/object-store.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { bodyOf as storedBody } from '../store/stores.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';
import { tempDir } from '../support/temp-dir.ts';

type Opened = { readonly store: ObjectStore; close(): Promise<void> | void };

/** What all three have. */
type Shared = {
  put(key: string, bytes: Uint8Array): Promise<unknown>;
  read(key: string, from?: number): Promise<Buffer | undefined>;
  keys(prefix: string): Promise<string[]>;
};

const LARGE = randomBytes(3 * CHUNK_BYTES + 17);
const SMALL = Buffer.from('module example.com/x\n');

function bodyFor(bytes: Uint8Array, note?: string) {
  return { ...bodyOf(bytes, createHash('sha256').update(bytes).digest('hex')), note };
}

const BYTES_MAX = 2 * LARGE.length;

function sharedOf(store: ObjectStore): Shared {
  return {
    put: (key, bytes) => store.put(key, bodyFor(bytes), { isOnce: false }),
    read: async (key, from) => {
      const { etag = '' } = (await store.head(key)) ?? {};
      const found = await store.get(key, from === undefined ? undefined : { from, etag });
      return found && collect(found.body, BYTES_MAX);
    },
    keys: (prefix) => allKeys(store, prefix),
  };
}

async function allKeys(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for (let next: string | undefined = ''; next !== undefined; ) {
    const page: Awaited<ReturnType<ObjectStore['list']>> = await store.list({
      prefix,
      ...(next && { next }),
    });
    keys.push(...page.objects.map(({ key }) => key));
    next = page.next;
  }
  return keys;
}

/** The store's own answers, by the calls that the pump and the sources make. */
function sharedOfSqlite(path: string): Shared & { close(): void } {
  const writer = new StoreWriter(path);
  const reader = new StoreReader(path);
  let blob = 0;
  return {
    put: async (key, bytes) =>
      writer.inTransaction(() =>
        writer.putEntry({
          key,
          status: 200,
          source: 'upstream',
          nowMs: 1,
          blob: ++blob,
          bytes: bytes.slice(),
        }),
      ),
    read: async (key, from = 0) => {
      const bytes = storedBody(reader, key);
      return bytes && Buffer.from(bytes.subarray(from));
    },
    keys: async (prefix) => {
      const keys: string[] = [];
      for (;;) {
        const { rows } = reader.getKeys({ prefix, after: keys.at(-1) ?? '' });
        if (rows.length === 0) return keys;
        keys.push(...rows.map(({ key }) => key));
      }
    },
    close: () => {
      reader.close();
      writer.close();
    },
  };
}

function sharedSuite(open: () => Shared): void {
  test('a body is read back, whole and from any byte on', async () => {
    const store = open();
    for (const [key, bytes] of [
      ['read/large.zip', LARGE],
      ['read/small.mod', SMALL],
    ] as const) {
      await store.put(key, bytes);
      assert.deepEqual(await store.read(key), bytes);
      for (const from of [1, bytes.length - 1])
        assert.deepEqual(await store.read(key, from), bytes.subarray(from));
    }
  });

  test('what is put again replaces what was there', async () => {
    const store = open();
    await store.put('again', SMALL);
    await store.put('again', LARGE);
    assert.deepEqual(await store.read('again'), LARGE);
  });

  test('what was never put is not there', async () => {
    assert.equal(await open().read('never'), undefined);
  });

  test('a listing has all keys below its prefix and no others, in bytewise order, with any characters', async () => {
    const store = open();
    const keys = [
      'list/!azure/x',
      'list/a+b',
      'list/a/b',
      'list/v1.0.0+incompatible.zip',
      'list/~x',
      'lists',
    ];
    for (const key of keys) await store.put(key, SMALL);
    assert.deepEqual(await store.keys('list/'), keys.slice(0, -1).sort());
    assert.deepEqual(await store.keys('list/nothing'), []);
  });

  test('a listing goes on after its page', async () => {
    const store = open();
    const keys = Array.from({ length: 1_030 }, (_, i) => `pages/${String(i).padStart(5, '0')}`);
    for (let at = 0; at < keys.length; at += 16)
      await Promise.all(keys.slice(at, at + 16).map((key) => store.put(key, SMALL)));
    assert.deepEqual(await store.keys('pages/'), keys);
  });
}

function suite(open: () => ObjectStore): void {
  sharedSuite(() => sharedOf(open()));

  test('an object tells of its size, its hash and its note', async () => {
    const store = open();
    const body = bodyFor(SMALL, 'k1 sig-1');
    await store.put('told', body, { isOnce: false });
    const info = await store.head('told');
    const { etag = '', ...rest } = info ?? {};
    assert.deepEqual(rest, { size: SMALL.length, sha256: body.sha256, note: 'k1 sig-1' });
    assert.notEqual(etag, '');
    assert.equal((await store.get('told'))?.note, 'k1 sig-1');
    assert.equal((await store.get('told', { from: 3, etag }))?.size, SMALL.length);
  });

  test('an empty body is an object', async () => {
    const store = open();
    await store.put('empty', bodyFor(Buffer.alloc(0)), { isOnce: true });
    assert.equal((await store.head('empty'))?.size, 0);
    assert.deepEqual(await sharedOf(store).read('empty'), Buffer.alloc(0));
  });

  test('of two puts that are for once, the first one stays', async () => {
    const store = open();
    assert.equal(await store.put('once', bodyFor(SMALL), { isOnce: true }), 'stored');
    assert.equal(await store.put('once', bodyFor(LARGE), { isOnce: true }), 'present');
    assert.deepEqual(await sharedOf(store).read('once'), SMALL);
  });

  test('a body that is not what it says is refused for good, and nothing of it is there', async () => {
    const store = open();
    const body = { ...bodyFor(SMALL), sha256: bodyFor(LARGE).sha256 };
    await assert.rejects(store.put('wrong', body, { isOnce: false }), { name: 'UpstreamFailed' });
    assert.equal(await store.head('wrong'), undefined);
  });

  test('a part of another version than the one that was begun is not there', async () => {
    const store = open();
    await store.put('changed', bodyFor(SMALL), { isOnce: false });
    const { etag = '' } = (await store.head('changed')) ?? {};
    await store.put('changed', bodyFor(LARGE), { isOnce: false });
    assert.equal(await store.get('changed', { from: 1, etag }), undefined);
  });
}

describe('in memory', () => {
  const store = new MemoryObjectStore(100);
  suite(() => store);
});

describe('in S3', () => {
  let opened: Opened;
  const disposers: (() => void)[] = [];
  before(async () => {
    const server = await BucketServer.start(tempDir({ after: (dispose) => disposers.push(dispose) }));
    const endpoint = new URL(server.url);
    const store = new S3ObjectStore({
      bucket: { name: 'bucket', region: 'us-east-1', endpoint, isPathStyle: true, prefix: 'team/a' },
      keys: new ServerKeys(BUCKET_KEYS),
      now: () => performance.now(),
      events: { request: () => {}, down: () => {} },
    });
    opened = {
      store,
      close: () => {
        store.close();
        return server.stop();
      },
    };
  });
  after(async () => {
    await opened.close();
    for (const dispose of disposers) dispose();
  });
  suite(() => opened.store);
});

describe('in SQLite', () => {
  let shared: ReturnType<typeof sharedOfSqlite>;
  const disposers: (() => void)[] = [];
  before(() => {
    shared = sharedOfSqlite(join(tempDir({ after: (dispose) => disposers.push(dispose) }), 'a.db'));
  });
  after(() => {
    shared.close();
    for (const dispose of disposers) dispose();
  });
  sharedSuite(() => shared);
});
