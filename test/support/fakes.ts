/**
 * A module proxy whose world is the test's: an upstream that answers what the test says, a builder,
 * a clock that stands still; and a store that is real, SQLite in a temporary directory, but called
 * in the test's own thread, so that no fake has to be kept true to it.
 */

import type { Answer, ByteStream } from '../../src/core/answer.ts';
import type { Checksums, Summed, Verdict } from '../../src/core/checksums.ts';
import { CheckFailed, NotFound, type ServeError } from '../../src/core/errors.ts';
import type {
  Clock,
  FetchEvent,
  Fetched,
  FetchRequest,
  ModuleSource,
  Upstream,
} from '../../src/core/ports.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import type { Builder, Hashed, Remote, Store, WriterPort } from '../../src/core/store-port.ts';
import { LastUse } from '../../src/flight/last-use.ts';
import type { Memory } from '../../src/flight/memory.ts';
import type { ModuleProxy } from '../../src/modules/module-proxy.ts';
import type { OutsideWrites } from '../../src/modules/outside-writes.ts';
import { Events } from '../../src/observe/events.ts';
import { createLogger } from '../../src/observe/logger.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { joinMemory, joinModules, type ModulesParts } from '../../src/serve/composition.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';

/** Stands still until it is moved. */
export class FakeClock implements Clock {
  wall = 1_700_000_000_000;
  monotonic = 5_000;

  wallMs(): number {
    return this.wall;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  /** Both kinds of time. */
  pass(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
}

/** A real store without threads. Counts its calls, and fails those that the test tells it to. */
export type LocalStore = Store & {
  readonly path: string;
  /** Names of the calls so far. */
  readonly calls: string[];
  /** What the next calls of a name fail with, while it is set. */
  readonly failures: Map<string, ServeError>;
  full: string | undefined;
  close(): void;
};

const readerCalls = ['getEntry', 'getChunk', 'getVersions', 'getSizes'] as const;
const writerCalls = [
  'putEntry',
  'revalidateEntry',
  'openBlob',
  'putChunk',
  'sealBlob',
  'dropBlob',
  'touch',
  'checkpoint',
  'tidy',
] as const;

export function openLocalStore(path: string): LocalStore {
  const writer = new StoreWriter(path);
  const reader = new StoreReader(path);
  const calls: string[] = [];
  const failures = new Map<string, ServeError>();
  let lastBlob = writer.lastBlobId();
  const remote = (target: object, name: string) => async (request: unknown) => {
    calls.push(name);
    const failure = failures.get(name);
    if (failure !== undefined) throw failure;
    // After the turn, and out of buffers of its own: as through a thread.
    const copy = structuredClone(request);
    await Promise.resolve();
    return (target as Record<string, (request: unknown) => unknown>)[name]?.(copy);
  };
  const remotes = Object.fromEntries([
    ...readerCalls.map((name) => [name, remote(reader, name)]),
    ...writerCalls.map((name) => [name, remote(writer, name)]),
    ...namesOf(reader, writer).map(([name, target]) => [name, remote(target, name)]),
  ]) as Remote<WriterPort> & Omit<Store, keyof WriterPort>;
  return {
    ...remotes,
    path,
    calls,
    failures,
    full: undefined,
    nextBlob: () => ++lastBlob,
    waitForRoom: () => Promise.resolve(),
    close: () => {
      reader.close();
      writer.close();
    },
  };
}

/** Whatever else the two can be asked. */
function namesOf(...targets: object[]): [string, object][] {
  return targets.flatMap((target) =>
    Object.entries(target).flatMap(([name, value]): [string, object][] =>
      typeof value === 'function' ? [[name, target]] : [],
    ),
  );
}

/** What an upstream says about one path: bytes, an error, or whatever a function comes to. */
export type Said = Uint8Array | string | Error | (() => Promise<Uint8Array>);

/** An upstream that says what the test told it to, and 404 to all else. */
export class FakeUpstream implements Upstream, ModuleSource {
  readonly name = 'upstream';
  readonly says = new Map<string, Said>();
  /** Where set, the zip of this path is told piece by piece. */
  readonly scripts = new Map<string, Script>();
  readonly asked: { how: 'whole' | 'stream' | 'head'; path: string; request: FetchRequest }[] = [];
  isDown = false;

  /** Paths asked for so far. */
  get paths(): string[] {
    return this.asked.map(({ path }) => path);
  }

  async whole(request: FetchRequest): Promise<Fetched> {
    this.asked.push({ how: 'whole', path: request.path, request });
    return { bytes: await this.#say(request.path), upstream: 'proxy.example' };
  }

  async head(request: FetchRequest): Promise<{ size: number | undefined; upstream: string }> {
    this.asked.push({ how: 'head', path: request.path, request });
    return { size: (await this.#say(request.path)).byteLength, upstream: 'proxy.example' };
  }

  async *stream(request: FetchRequest): AsyncGenerator<FetchEvent> {
    this.asked.push({ how: 'stream', path: request.path, request });
    const script = this.scripts.get(request.path);
    if (script !== undefined) {
      yield* script.events();
      return;
    }
    const bytes = await this.#say(request.path);
    const offset = request.resume?.offset ?? 0;
    yield start({ offset, size: bytes.byteLength, etag: '"e"' });
    for (let at = offset; at < bytes.byteLength; at += 100_000) {
      yield { kind: 'bytes', bytes: bytes.slice(at, at + 100_000) };
    }
  }

  async #say(path: string): Promise<Uint8Array> {
    const said = this.says.get(path) ?? new NotFound(`cannot find ${path}: proxy.example says 404`);
    if (said instanceof Error) throw said;
    if (typeof said === 'string') return new TextEncoder().encode(said);
    return typeof said === 'function' ? said() : said.slice();
  }
}

/** A `start` event. */
export function start(about: { offset?: number; size?: number | undefined; etag?: string }): FetchEvent {
  const { offset = 0, size, etag } = about;
  return {
    kind: 'start',
    offset,
    size,
    validator: etag === undefined ? {} : { etag },
    upstream: 'proxy.example',
  };
}

/** A stream whose events the test sends one by one, knowing when each was taken. */
export class Script {
  readonly #events: { event: FetchEvent | Error | undefined; onTaken: () => void }[] = [];
  #onSent: (() => void) | undefined;

  /** Resolves when the download has dealt with it. */
  send(event: FetchEvent): Promise<void> {
    return this.#push(event);
  }

  bytes(bytes: Uint8Array): Promise<void> {
    return this.#push({ kind: 'bytes', bytes: bytes.slice() });
  }

  /** The stream breaks. */
  fail(error: Error): void {
    void this.#push(error);
  }

  /** The stream ends cleanly. */
  end(): void {
    void this.#push(undefined);
  }

  async *events(): AsyncGenerator<FetchEvent> {
    for (;;) {
      const next = this.#events.shift();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#onSent = resolve;
        });
        continue;
      }
      if (next.event === undefined) return;
      if (next.event instanceof Error) throw next.event;
      yield next.event;
      next.onTaken();
    }
  }

  #push(event: FetchEvent | Error | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#events.push({ event, onTaken: resolve });
      this.#onSent?.();
    });
  }
}

/** Takes every zip, or refuses all while `refuses` is set; may be made to wait. */
export class FakeBuilder implements Builder {
  refuses: string | undefined;
  /** What a check waits for. */
  until: Promise<void> = Promise.resolve();
  readonly checked: { module: string; version: string; size: number; content: boolean }[] = [];

  checkZip: Builder['checkZip'] = async (request) => {
    this.checked.push(request);
    await this.until;
    if (this.refuses !== undefined) throw new CheckFailed(this.refuses);
    return request.hash ? { h1: 'h1:of-the-zip' } : {};
  };

  /** What each key's hash is; of all others nothing is stored. */
  readonly stored = new Map<string, Hashed | Error>();
  readonly hashed: string[] = [];

  hashStored: Builder['hashStored'] = async ({ key }) => {
    this.hashed.push(key);
    const hashed = this.stored.get(key);
    if (hashed instanceof Error) throw hashed;
    return hashed === undefined ? {} : { hashed };
  };
}

/** A checksum database that knows everything, nothing, or better. */
export class FakeChecksums implements Checksums {
  /** What it says of any h1; an error is thrown. */
  says: Verdict | Error | Promise<Verdict> = 'confirmed';
  readonly judged: string[] = [];

  covers(resource: Resource): resource is Summed {
    return resource.kind === 'zip' || resource.kind === 'mod';
  }

  /** What it was asked about before there was anything to judge. */
  readonly prefetched: Summed[] = [];

  prefetch(resource: Summed): void {
    this.prefetched.push(resource);
  }

  /** Whether an answer that is not proven yet names what it is asked about. */
  claims = false;

  async isClaimed(): Promise<boolean> {
    return this.claims;
  }

  async judge(_: Summed, h1: string): Promise<Verdict> {
    this.judged.push(h1);
    if (this.says instanceof Error) throw this.says;
    return this.says;
  }
}

/** Remembers what happened, by name of the event and key; its log is silent. */
export class SeenEvents extends Events {
  readonly seen: string[] = [];

  constructor() {
    const log = createLogger({ level: 'error', isTerminal: false });
    log.level = 'silent';
    super(log, new Metrics());
    for (const name of [
      'fetched',
      'fetchFailed',
      'keptStale',
      'notStored',
      'checkFailed',
      'brokeOff',
      'bug',
      'contradictedLater',
      'unhashable',
      'housekeepingFailed',
    ] as const) {
      this[name] = (path: string) => void this.seen.push(`${name} ${path}`);
    }
  }
}

export type Rig = {
  readonly proxy: ModuleProxy;
  readonly store: LocalStore;
  readonly upstream: FakeUpstream;
  readonly builder: FakeBuilder;
  readonly clock: FakeClock;
  readonly events: SeenEvents;
  readonly lastUse: LastUse<string>;
  readonly memory: Memory;
  readonly outsideWrites: OutsideWrites;
  /** Asks as a client would. */
  get(path: string, how?: { mayFetch?: boolean; isHead?: boolean; via?: string }): Promise<Answer>;
  /** Asks, and reads all of the answer: `200 upstream body`. */
  ask(path: string, how?: { mayFetch?: boolean; isHead?: boolean }): Promise<string>;
  readonly checksums: FakeChecksums;
  /** Time passes until memory holds nothing that is not in use. */
  forgetUnused(): void;
  /** The same store and world, with an empty memory: as after a restart. */
  restarted(options?: RigOptions): Rig;
};

export type RigOptions = Partial<ModulesParts>;

export const LIST_TTL_MS = 300_000;
export const NEGATIVE_TTL_MS = 60_000;
export const REFUSED_MS = 30_000;

export function makeRig(store: LocalStore, options: RigOptions = {}, world = new World()): Rig {
  const { upstream, builder, clock, events, checksums } = world;
  const bounds = { flightsMax: 1_000, waitersMax: 1_000 };
  const lastUse = new LastUse<string>((keys, nowMs) => store.touch({ keys, nowMs }));
  const budget = { cacheBytesMax: 64 * 1024 * 1024, cacheWeakBytesMax: 0, cacheTtlMs: 60_000 };
  const held = joinMemory({ store, lastUse, clock, budget, bounds });
  const { cache, memory } = held;
  const { modules: proxy, outsideWrites } = joinModules({
    ...held,
    store,
    builder,
    outside: [upstream],
    inside: [],
    checksums,
    clock,
    events,
    bounds,
    verify: 'off',
    listTtlMs: LIST_TTL_MS,
    negativeTtlMs: NEGATIVE_TTL_MS,
    staleWaitMs: 60_000,
    refusedMs: REFUSED_MS,
    isOffline: false,
    noProxyPatterns: '',
    visibilityOf: () => 'public',
    ...options,
  });
  const get: Rig['get'] = async (path, { mayFetch = true, isHead = false, via } = {}) => {
    const resource = parseResource(path);
    if (resource === undefined) throw new Error(`not a GOPROXY path: ${path}`);
    return proxy.get({ resource, key: path, mayFetch, isHead, via });
  };
  return {
    ...world,
    proxy,
    store,
    lastUse,
    memory,
    forgetUnused: () => {
      for (let round = 0; round < 2; round++) {
        clock.pass(60_000);
        cache.sweep();
      }
    },
    outsideWrites,
    get,
    ask: async (path, how) => {
      const answer = await get(path, how);
      return `${answer.status} ${answer.origin} ${Buffer.from(await readAll(answer.body)).toString()}`;
    },
    restarted: (changed = {}) => makeRig(store, { ...options, ...changed }, world),
  };
}

/** What a restart of the server does not change. */
class World {
  readonly upstream = new FakeUpstream();
  readonly builder = new FakeBuilder();
  readonly clock = new FakeClock();
  readonly events = new SeenEvents();
  readonly checksums = new FakeChecksums();
}

/** All of a body, as a client that takes each piece at once. */
export async function readAll(body: Uint8Array | ByteStream | undefined): Promise<Uint8Array> {
  if (body === undefined) return new Uint8Array(0);
  if (body instanceof Uint8Array) return body;
  const parts: Uint8Array[] = [];
  for (let at = 0; ; ) {
    const part = await body.at(at);
    if (part.byteLength === 0) return new Uint8Array(Buffer.concat(parts));
    parts.push(new Uint8Array(part)); // A Buffer's `slice` is no copy.
    at += part.byteLength;
  }
}

/** All that can happen without anything from outside has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
