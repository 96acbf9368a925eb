// Goal: kill -9 at any moment leaves nothing half-done, and downloads go on where they were.
// Method: one store, many servers one after the other, each killed at a random moment (seeded) while
// clients fetch a real corpus and two large zips over a slow line. After each kill the file is checked
// from outside, and the next server must ask the upstream for the rest of what is half there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CHUNK_BYTES, RESUME_TAIL_BYTES } from '../../src/core/limits.ts';
import { assertWhole, query } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { corpusFiles, ensureCorpus } from '../support/corpus.ts';
import { FaultyUpstream } from '../support/faulty-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { ask, type Outcome } from '../support/raw-client.ts';
import { times } from '../support/times.ts';

const KILLS = times({ short: 8, long: 20 });
const CLIENTS = 6;
const DOWNLOADS = 2;
const LARGE_BYTES = 12_000_000;
const PAUSE_MS = 10;

/**
 * A life ends when the slow upstream has sent so many bytes more: one in ten at once, and none lives for a large zip. By
 * bytes and not by time, so that a busy machine meets the same moments.
 */
const LIFE_BYTES = { min: -600_000, max: 5_400_000 };

/** What one kill may cost a download: chunks on their way to the writer, and what sockets hold. */
const LOST_BYTES_MAX = 2_000_000;

let root: string;
/** The large zips alone, so that their bytes are counted; the rest is at the list's first member. */
let slow: FaultyUpstream;
let corpus: FaultyUpstream;
let scratch: string;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'astera-death-'));
  root = await ensureCorpus();
  [slow, corpus] = [await FaultyUpstream.start(), await FaultyUpstream.start()];
});

after(async () => {
  await slow.close();
  await corpus.close();
  await rm(scratch, { recursive: true, force: true });
});

test('kill after kill under load: the store stays whole, and downloads go on where they were', async () => {
  const random = randomFrom(4);
  const paths = corpusFiles(root).map(({ path }) => path);
  const known = new Set(paths);
  corpus.fallback = (path) => (known.has(path) ? { bytes: readFileSync(join(root, path)) } : undefined);
  const large = new LargeZips(slow);
  const options = {
    upstream: `${corpus.url},${slow.url}`,
    db: join(scratch, 'a.db'),
    flags: ['--verify', 'off'],
  };
  let resumed = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const before = kill === 0 ? [] : partials(options.db);
    const astera = await Astera.start(options);
    const seenBefore = slow.seen.length;
    const downloads = [...before.map(({ path }) => path), ...large.fresh(DOWNLOADS - before.length)];
    const asking = downloads.map((path) => ask(`${astera.url}/${path}`).then((got) => large.got(path, got)));
    const load = Array.from({ length: CLIENTS }, () => fetchOn(astera.url, paths, random));
    const lifeBytes = LIFE_BYTES.min + random() * (LIFE_BYTES.max - LIFE_BYTES.min);
    await Promise.race([Promise.all(asking), untilSent(slow.bytesSent + lifeBytes)]);
    await astera.kill();
    await Promise.all([...asking, ...load]);
    assertWhole(astera.db);
    for (const { path, from } of before) {
      const [first] = slow.seen.slice(seenBefore).filter(({ url }) => url === `/${path}`);
      if (first === undefined) continue; // Killed before it came to that.
      // It asks for the end of what is stored once more, and compares.
      assert.equal(first.headers.range, from === 0 ? undefined : `bytes=${from - RESUME_TAIL_BYTES}-`, path);
      resumed += Number(from > 0);
    }
  }
  assert.ok(resumed > KILLS / 2, `only ${resumed} downloads were met in their middle`);

  const astera = await Astera.start(options);
  try {
    for (const path of large.begun) large.got(path, await ask(`${astera.url}/${path}`));
    assert.deepEqual(large.missing, []);
    const more = slow.bytesSent - large.bytes;
    assert.ok(more <= KILLS * DOWNLOADS * LOST_BYTES_MAX, `${more} bytes more than ${large.bytes}`);
    await astera.stop();
    assertWhole(astera.db);
  } finally {
    await astera.dispose();
  }
});

async function untilSent(bytes: number): Promise<void> {
  while (slow.bytesSent < bytes) await delay(PAUSE_MS);
}

type Partial = { readonly path: string; readonly from: number };

/** The large zips that are half there, and from which byte on each must be asked for. */
function partials(db: string): Partial[] {
  const rows = query(
    db,
    `SELECT json_object('path', growing_key, 'size', size, 'chunks',
       (SELECT count(*) FROM chunk WHERE chunk.id >> 20 = blob.id))
     FROM blob WHERE growing_key LIKE 'large.example/%'`,
  );
  return rows.map((row) => {
    const { path, size, chunks } = JSON.parse(String(row)) as { path: string; size: number; chunks: number };
    // The last byte is asked for again, even where all is there.
    return { path, from: CHUNK_BYTES * (chunks * CHUNK_BYTES >= size ? chunks - 1 : chunks) };
  });
}

/** Zips that take longer than most lives, made when they are first asked for. */
class LargeZips {
  readonly begun: string[] = [];
  bytes = 0;
  readonly #upstream: FaultyUpstream;
  readonly #zips = new Map<string, Buffer>();
  readonly #whole = new Set<string>();

  constructor(upstream: FaultyUpstream) {
    this.#upstream = upstream;
  }

  /** So many more, each at 6 MB/s at most. */
  fresh(count: number): string[] {
    return Array.from({ length: count }, () => {
      const module = {
        path: `large.example/m${this.begun.length}`,
        version: 'v1.0.0',
        contentBytes: LARGE_BYTES,
      };
      const path = `${module.path}/@v/${module.version}.zip`;
      const { zip } = madeUpFiles(module);
      this.#upstream.serve(path, { bytes: zip, etag: `"${path}"`, pieceBytes: 64 * 1024, pauseMs: PAUSE_MS });
      this.#zips.set(path, zip);
      this.bytes += zip.length;
      this.begun.push(path);
      return path;
    });
  }

  /** What a client got: all of it, or a cut. */
  got(path: string, { status, body, isWhole }: Outcome): void {
    if (!isWhole) return;
    assert.equal(status, 200, path);
    assert.ok(this.#zips.get(path)?.equals(body), `${path}: ${body.length} other bytes`);
    this.#whole.add(path);
  }

  get missing(): string[] {
    return this.begun.filter((path) => !this.#whole.has(path));
  }
}

/** Fetches random files one after the other until the server dies; what ends cleanly is right. */
async function fetchOn(url: string, paths: readonly string[], random: () => number): Promise<void> {
  for (;;) {
    const path = paths[Math.floor(random() * paths.length)] ?? '';
    const { status, body, isWhole } = await ask(`${url}/${path.replaceAll('!', '%21')}`);
    if (!isWhole) return;
    assert.equal(status, 200, path);
    assert.ok(readFileSync(join(root, path)).equals(body), `${path}: other bytes`);
  }
}

/** Uniform in [0, 1), the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
