/** All that sessions share: the local directory, the server behind it, uploads and counters. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inRegion } from '../bucket/bucket-address.ts';
import { type BucketEnv, findCredentials } from '../bucket/credentials.ts';
import { MAIN_NAMESPACE } from '../core/cache-id.ts';
import { BucketCache } from './bucket-cache.ts';
import { FILTER, type LocalEntry, VERSIONS } from './cache-directory.ts';
import { HostBound } from './host-bound.ts';
import { LocalCache } from './local-cache.ts';
import { MissFilter } from './miss-filter.ts';
import { heldActions, openPrefetch } from './open-prefetch.ts';
import type { PluginOptions } from './options.ts';
import { PackageVersions } from './package-versions.ts';
import { hasZstd } from './packed-output.ts';
import { Packs } from './packs.ts';
import type { Prefetch } from './prefetch.ts';
import { Prefetches } from './prefetches.ts';
import type { Remote } from './remote.ts';
import { RemoteCache } from './remote-cache.ts';
import { RemoteSessions, type SessionUse } from './remote-sessions.ts';
import type { CommandName } from './session-name.ts';
import { Signatures } from './signatures.ts';
import { Uploads } from './uploads.ts';

export class PluginCache {
  readonly options: PluginOptions;
  readonly local: LocalCache;
  readonly remote: Remote | undefined;
  readonly sessions: RemoteSessions | undefined;
  /** Takes what is shared one by one. */
  readonly uploads: Uploads | undefined;
  /** Of a bucket. */
  readonly #packs: Packs | undefined;
  #deltaPuts: RemoteCache['deltaPuts'] | undefined;
  readonly #signatures: Signatures;
  readonly counts = {
    hits: 0,
    remoteHits: 0,
    misses: 0,
    puts: 0,
    bytes: 0,
    prefetched: 0,
    unused: 0,
    deltaContent: 0,
    delta: 0,
    ruledOut: 0,
  };
  readonly #filters: readonly MissFilter[] = [];
  readonly #prefetches: Prefetches;
  readonly #reports = new Set<Promise<void>>();
  readonly #warn: (line: string) => void;

  /**
   * @param warn takes one line for the user
   * @param env the `go` command's, for `--share-cgo=same-host`; it has a bucket's keys, or names their file
   * @throws {Error} the token's file can't be read. @throws {UsageError} a key's file can't be used, a bucket has no keys
   */
  constructor(options: PluginOptions, warn: (line: string) => void, env: BucketEnv = {}) {
    const { remote: url, bucket, namespace } = options;
    const now = Date.now;
    this.options = options;
    this.#warn = warn;
    this.#signatures = new Signatures({ ...options, warn });
    this.local = new LocalCache({ directory: options.cacheDir, namespace, now, warn });
    this.#prefetches = new Prefetches({
      open: (name) => this.#openPrefetch(name),
      onOver: (prefetch) => {
        this.counts.prefetched += prefetch.bytes;
        this.counts.unused += prefetch.unusedBytes;
        this.counts.deltaContent += prefetch.deltaContentBytes;
        this.counts.delta += prefetch.deltaBytes;
      },
      now,
    });
    const { remoteTimeoutMs: timeoutMs, shareCgo } = options;
    const signatures = this.#signatures;
    const shared = { timeoutMs, shareCgo, signatures, now, warn };
    if (bucket !== undefined) {
      const remote = new BucketCache({
        ...shared,
        bucket: inRegion(bucket, env),
        findCredentials: () => findCredentials(env),
      });
      this.remote = remote;
      this.uploads = this.#openUploads(remote);
      if (hasZstd())
        this.#packs = new Packs({ ...options, signatures, objects: remote.objects, local: this.local });
      this.#packs?.takeSpool();
    }
    if (url === undefined) return;
    const token =
      options.tokenFile === undefined ? undefined : readFileSync(options.tokenFile, 'utf8').trim();
    const host = new HostBound({ env, memo: join(options.cacheDir, 'host'), warn });
    const versions = options.deltas
      ? new PackageVersions({
          files: this.local.ownPath(`${VERSIONS}/${encodeURIComponent(url.host)}`),
          pathOf: (outputId) => this.local.outputPath(outputId),
        })
      : undefined;
    const remote = new RemoteCache({ ...shared, url, token, host, namespace, versions });
    this.remote = remote;
    this.#deltaPuts = remote.deltaPuts;
    this.sessions = new RemoteSessions(remote.server);
    this.#filters = [...new Set([namespace, MAIN_NAMESPACE])].map(
      (one) =>
        new MissFilter({
          path: this.local.ownPath(
            `${FILTER}${one === MAIN_NAMESPACE ? 'main' : 'own'}-${encodeURIComponent(url.host)}`,
          ),
          fetch: (held) => this.sessions?.getFilter(one, held) ?? Promise.resolve(undefined),
          now,
        }),
    );
    this.uploads = this.#openUploads(remote);
  }

  /** Whether nothing goes on behind the sessions. */
  get isIdle(): boolean {
    const isWriting = this.uploads?.isIdle === false || this.#packs?.isIdle === false;
    return !isWriting && this.#reports.size === 0;
  }

  /** Whether it makes use of a session's name. */
  get knowsSets(): boolean {
    return this.sessions !== undefined || this.#packs !== undefined;
  }

  /** Takes what a session puts, one by one; undefined where nothing takes it, or packs do. */
  uploadsOf({ isNamed }: { readonly isNamed: boolean }): Uploads | undefined {
    const isPacked = this.#packs !== undefined && isNamed && this.options.layout === 'packs';
    return isPacked ? undefined : this.uploads;
  }

  /** Takes what a session puts into its set's packs. */
  pack(name: (() => CommandName) | undefined, actionId: string, entry: LocalEntry): void {
    if (name !== undefined) this.#packs?.put(name(), actionId, entry);
  }

  /** Whether neither the own namespace nor the main one has an action, as far as the server's filters tell. */
  async rulesOut(actionId: string): Promise<boolean> {
    for (const filter of this.#filters) if (!(await filter.rulesOut(actionId))) return false;
    return this.#filters.length > 0;
  }

  /** Gets the filters where they are old. */
  refreshFilters(): void {
    for (const filter of this.#filters) void filter.refresh();
  }

  /** What a session will ask for, on its way; undefined where nothing is to be fetched. */
  joinPrefetch(name: CommandName): Prefetch | undefined {
    const isWanted = this.knowsSets && this.options.prefetchBytesMax > 0;
    return isWanted ? this.#prefetches.join(name) : undefined;
  }

  /** Of a session that has ended. */
  leavePrefetch(prefetch: Prefetch): void {
    this.#prefetches.leave(prefetch);
  }

  /** Tells the server which actions a session used, behind all else, and notes that they are here. */
  report(
    name: CommandName,
    { used, apart, alsoHere }: SessionUse & { readonly alsoHere: readonly string[] },
  ): void {
    if (!this.knowsSets || used.length === 0) return;
    heldActions({ name, local: this.local, now: Date.now }).add([...used, ...alsoHere]);
    this.#packs?.note(name, used);
    if (this.sessions === undefined) return;
    const report = this.sessions
      .putSession(name, { used, apart })
      .finally(() => this.#reports.delete(report));
    this.#reports.add(report);
  }

  /** What is left to do when `go` has its answers, and waits for nothing. Never rejects. */
  async end(): Promise<void> {
    await Promise.all(this.#reports);
    this.remote?.close();
    await this.trim();
  }

  /** Ends uploads, tells of the counts where that is wanted. */
  async close(): Promise<void> {
    const { closeWaitMs } = this.options;
    await Promise.all([this.uploads?.close(closeWaitMs), this.#packs?.close(closeWaitMs)]);
    if (!this.options.metrics) return;
    const { hits, remoteHits, misses, puts, bytes, prefetched, unused, ruledOut, deltaContent, delta } =
      this.counts;
    const { refused } = this.#signatures;
    const unsigned = refused === 0 ? '' : `, ${refused} entries without a trusted signature`;
    const packed = this.#packs === undefined ? '' : `, ${this.#packs.bytesWritten} bytes of packs written`;
    const { content = 0, bytes: deltaBytes } = this.#deltaPuts ?? {};
    const deltaUploads = content === 0 ? '' : `, ${content} bytes uploaded as deltas of ${deltaBytes} bytes`;
    const wrong = this.remote?.wrong ? `, ${this.remote.wrong} wrong objects` : '';
    this.#warn(
      `${hits} hits, ${remoteHits} of them remote, ${misses} misses (${ruledOut} without a request), ${puts} puts of ${bytes} bytes, ${this.uploads?.done ?? 0} uploaded${packed}${unsigned}${wrong}, ${this.remote?.requests ?? 0} requests, ${prefetched} bytes prefetched, ${unused} of them unused, ${deltaContent} of them as deltas of ${delta} bytes${deltaUploads}`,
    );
  }

  /** Where that is due: it may take a while, and `go` should not wait for it. Never rejects. */
  trim(): Promise<void> {
    return this.local.trim(this.options);
  }

  #openPrefetch(name: CommandName): Prefetch {
    const { local, sessions, options } = this;
    const [packs, signatures] = [this.#packs, this.#signatures];
    return openPrefetch({ name, local, sessions, packs, signatures, options, now: Date.now });
  }

  #openUploads(remote: Remote): Uploads {
    const uploads = new Uploads(this.local, remote, this.options.uploads);
    uploads.takeSpool();
    return uploads;
  }
}
