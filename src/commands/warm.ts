/**
 * `astera warm FILE…`: fetches all that go.sum, go.mod, go.work or `go list -m -json all` name, several
 * at a time, through the running server or, where there is none, by itself.
 *
 * Of a go.sum's `/go.mod` lines the go.mod alone is fetched, of everything else `.info`, `.mod` and
 * `.zip`. A go.work stands for the go.mod and go.sum files of its directories. Exit code 1 where
 * anything could not be fetched: each is named.
 */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { WritableStore } from '../core/control-port.ts';
import { BadRequest, isServeError, messageOf } from '../core/errors.ts';
import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import { formOf, keysOf, usedDirectories, wantedOf } from '../core/wanted-files.ts';
import { fetchWhole } from '../modules/fetch-whole.ts';
import { Progress } from '../observe/progress.ts';
import { openBucketTier } from '../serve/bucket-tier.ts';
import { clock } from '../serve/clock.ts';
import { nameSigner } from '../serve/name-signer.ts';
import { createServices, type Services } from '../serve/services.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { Config, StoreConfig } from '../settings/config.ts';
import { inLanes } from '../tree/lanes.ts';
import { BuilderPool } from '../workers/builder-pool.ts';
import type { ThreadStore } from '../workers/thread-store.ts';
import { commandEvents } from './command-events.ts';
import { openStoreForWriting } from './writable-store.ts';

/** Fetches open at one time; a `go mod download` has some 20. At double, clients of the server wait behind them for the line. */
const LANES = 12;

/** A go.sum of 10,000 lines has 1.5 MiB. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

type Fetch = (request: { key: string }) => Promise<unknown>;
/** The upstreams of a command that has no server to ask. */
export type Fetcher = {
  readonly fetch: Fetch;
  readonly lookUp: Services['lookUp'];
  readonly bringSet: Services['bringSet'];
  close(): Promise<void>;
};

type Outcome = { fetched: number; failed: number; present: number };

/**
 * @param loadConfig what a server would run with, for when none runs
 * @throws {Error} a file that can't be read, or something could not be fetched
 */
export async function warmCommand(
  config: StoreConfig,
  files: readonly string[],
  loadConfig: () => Promise<Config>,
): Promise<void> {
  const wanted = [...new Set((await Promise.all(files.map(keysOfFile))).flat())];
  await fetchWanted(config, inOne(wanted), loadConfig);
}

async function* inOne(keys: string[]): AsyncGenerator<string[]> {
  yield keys;
}

/**
 * Fetches those of the keys that are not stored, batch by batch.
 *
 * @throws {Error} something could not be fetched
 */
export async function fetchWanted(
  config: StoreConfig,
  wanted: AsyncIterable<readonly string[]>,
  loadConfig: () => Promise<Config>,
): Promise<void> {
  const signal = stopSignal();
  const opened = await openStoreForWriting(config, { mayBeNew: true });
  let fetcher: Fetcher | undefined;
  try {
    fetcher = opened.own && (await ownFetcher(await loadConfig(), opened.own));
    const fetch = opened.server?.fetch ?? fetcher?.fetch ?? refuse;
    const { fetched, failed, present, elapsedMs } = await fetchAll(opened.store, wanted, { fetch, signal });
    const counts = `fetched ${fetched} files in ${(elapsedMs / 1000).toFixed(1)}s, ${present} were stored before`;
    process.stdout.write(`${counts}${signal.aborted ? '; stopped: run it again to go on' : ''}\n`);
    if (failed > 0) throw new Error(`cannot fetch ${failed} of ${fetched + failed} files`);
  } finally {
    await fetcher?.close();
    await opened.close();
  }
}

const refuse: Fetch = () => Promise.reject(new BadRequest('cannot fetch: no store'));

/** The keys of the files of modules that a file names. @throws {Error} it can't be read */
export async function keysOfFile(file: string): Promise<string[]> {
  try {
    const text = file === '-' ? await readBounded(process.stdin) : await readBounded(createReadStream(file));
    const form = formOf(basename(file), text);
    const keys = wantedOf(form, text).flatMap(keysOf);
    return form === 'work' ? [...keys, ...(await keysOfUses(file, text))] : keys;
  } catch (cause) {
    const name = file === '-' ? 'standard input' : quote(file);
    throw new Error(`cannot read ${name}: ${messageOf(cause)}`, { cause });
  }
}

async function keysOfUses(file: string, text: string): Promise<string[]> {
  const below = usedDirectories(text).flatMap((directory) =>
    ['go.mod', 'go.sum'].map((name) => join(dirname(file), directory, name)),
  );
  const there = await Promise.all(below.map((path) => stat(path).catch(() => undefined)));
  const keys = await Promise.all(below.filter((_, i) => there[i]?.isFile() === true).map(keysOfFile));
  return keys.flat();
}

/** Counts what comes, whatever its size was said to be: a pipe and a device have none. */
async function readBounded(stream: AsyncIterable<unknown>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of stream) {
    pieces.push(piece as Buffer);
    bytes += (piece as Buffer).byteLength;
    if (bytes > FILE_BYTES_MAX) throw new Error(`over ${FILE_BYTES_MAX} bytes`);
  }
  return Buffer.concat(pieces).toString();
}

/** Stored files are skipped without a request for each. */
async function missingOf(store: WritableStore, wanted: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (let at = 0; at < wanted.length; at += KEYS_PER_CALL_MAX) {
    const keys = wanted.slice(at, at + KEYS_PER_CALL_MAX);
    const { stored } = await store.getStored({ keys });
    missing.push(...keys.filter((_, i) => stored[i] !== true));
  }
  return missing;
}

async function fetchAll(
  store: WritableStore,
  batches: AsyncIterable<readonly string[]>,
  { fetch, signal }: { fetch: Fetch; signal: AbortSignal },
): Promise<Outcome & { elapsedMs: number }> {
  const progress = new Progress({ verb: 'fetching', stream: process.stderr, now: clock.monotonicMs });
  const outcome = { fetched: 0, failed: 0, present: 0 };
  let total = 0;
  const missing = async function* () {
    for await (const keys of batches) {
      const lacking = await missingOf(store, keys);
      outcome.present += keys.length - lacking.length;
      total += lacking.length;
      progress.setTotal({ files: total, bytes: 0 });
      for (const key of lacking) {
        if (signal.aborted) return;
        yield key;
      }
    }
  };
  try {
    await inLanes(missing(), LANES, async (key) => {
      try {
        await fetch({ key });
        outcome.fetched++;
      } catch (error) {
        if (!isServeError(error) || error.kind === 'store-failed') throw error;
        outcome.failed++;
        progress.say(`failed: ${key}: ${messageOf(error)}`);
      }
      progress.add({ files: 1, bytes: 0 });
    });
    return { ...outcome, elapsedMs: progress.elapsedMs };
  } finally {
    progress.end();
  }
}

/** The server's own services, over a store of this process. */
export async function ownFetcher(config: Config, store: ThreadStore): Promise<Fetcher> {
  const events = commandEvents(config);
  await nameSigner(config, { store, events });
  const builder = new BuilderPool({ dbPath: config.dbPath, threads: 1 });
  const services = createServices({
    config,
    store,
    builder,
    events,
    tier: config.bucket && openBucketTier(config.bucket, config, { store, events }),
  });
  return {
    fetch: ({ key }) => fetchWhole(services.modules, key),
    lookUp: services.lookUp,
    bringSet: services.bringSet,
    close: async () => {
      await services.sumdb.settled();
      await services.close();
      await builder.close();
    },
  };
}
