/**
 * One `go` command's session: takes its requests as they are read, writes answers.
 *
 * A put is answered when its local file is there, and never fails for the remote's sake. Answers may come in any order.
 * Where requests come from and answers go to, its owner knows: `run-plugin.ts`, `plugin-server.ts`, `connect.ts`.
 */

import { isCacheId } from '../core/cache-id.ts';
import { SESSION_ACTIONS_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import type { LocalEntry } from './cache-directory.ts';
import type { LocalPut } from './local-put.ts';
import type { PluginCache } from './plugin-cache.ts';
import type { Prefetch } from './prefetch.ts';
import type { Remote } from './remote.ts';
import type { CacheRequest, RequestSink } from './request-reader.ts';
import type { CommandName } from './session-name.ts';
import { isApart, mayLeave } from './shareable.ts';
import { NAME_COMMAND } from './told-name.ts';

export type SessionDoors = {
  readonly cache: PluginCache;
  readonly write: (text: string) => void;
  /** Names the `go` command, where that can be known; asked for with the first get that the remote must answer. */
  readonly name?: () => CommandName;
  /** Its first request may name the command. */
  readonly takesName?: boolean;
};

export class Session implements RequestSink {
  /** Settles when `close` is asked for. Its answer: {@link answerClose}. */
  readonly closed: Promise<void>;
  readonly #cache: PluginCache;
  readonly #write: (text: string) => void;
  readonly #gets = new Set<Promise<void>>();
  #put: { readonly request: CacheRequest; readonly file: LocalPut; error: unknown } | undefined;
  #close: () => void = () => {};
  #closeId: number | undefined;
  #name: (() => CommandName) | undefined;
  #mayBeNamed: boolean;
  #ended: Promise<void> | undefined;
  /** Actions in the order in which they were asked for or put, and whether each was there or was put. */
  readonly #asked = new Map<string, boolean>();
  /** Actions that were put, and whose outputs no machine takes from another one. */
  readonly #apart = new Set<string>();
  /** Undefined until the remote is needed. */
  #prefetch: Prefetch | undefined;
  #hasAskedRemote = false;

  constructor({ cache, write, name, takesName = false }: SessionDoors) {
    this.#cache = cache;
    this.#write = write;
    this.#name = name;
    this.#mayBeNamed = takesName;
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  /** Whether `close` was asked for. */
  get isClosed(): boolean {
    return this.#closeId !== undefined;
  }

  /** Gets that wait for the remote. */
  get waiting(): number {
    return this.#gets.size;
  }

  /** Whether it owes an answer. */
  get isBusy(): boolean {
    return this.#gets.size > 0 || this.#put !== undefined;
  }

  /** Forgets a put whose body did not come whole, waits for all gets, and reports what was used. Once, however often it is called. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#put?.file.abort();
    this.#put = undefined;
    await Promise.all(this.#gets);
    const alsoHere = this.#prefetch?.arrived() ?? [];
    if (this.#prefetch !== undefined) this.#cache.leavePrefetch(this.#prefetch);
    // One that found all in the local directory has nothing new to tell.
    if (this.#name === undefined || !this.#hasAskedRemote) return;
    const used = [...this.#asked].flatMap(([id, isThere]) => (isThere ? [id] : []));
    const apart = new Set(used.filter((id) => this.#apart.has(id)));
    this.#cache.report(this.#name(), { used, apart, alsoHere });
  }

  /** To be called last: `go` then waits for the end of the output only. */
  answerClose(): void {
    if (this.#closeId !== undefined) this.#answer({ ID: this.#closeId });
  }

  onRequest(request: CacheRequest): void {
    const { id, command, actionId, outputId, bodySize } = request;
    const mayBeNamed = this.#mayBeNamed;
    this.#mayBeNamed = false;
    if (command === NAME_COMMAND && mayBeNamed) {
      const { name } = request;
      this.#name = name && (() => name);
    } else if (command === 'close') {
      this.#closeId = id;
      this.#close();
    } else if (command === 'get') this.#get(request);
    else if (command === 'put') {
      const isGood = isCacheId(actionId) && isCacheId(outputId);
      const error = isGood ? undefined : new Error('bad ActionID or OutputID');
      const file = this.#cache.local.beginPut({ outputId, size: bodySize });
      this.#put = { request, file, error };
    } else this.#answer({ ID: id, Err: `unknown command ${quote(command.slice(0, 40))}` });
  }

  onBody(bytes: Buffer): void {
    const put = this.#put;
    if (put === undefined || put.error !== undefined) return;
    try {
      put.file.write(bytes);
    } catch (error) {
      put.error = error;
    }
  }

  onBodyEnd(): void {
    const put = this.#put;
    if (put === undefined) return;
    this.#put = undefined;
    const { id, actionId } = put.request;
    try {
      if (put.error !== undefined) throw put.error;
      const entry = put.file.finish({ actionId });
      // What is only put, such as what a compiler printed, is asked for by the next command, which finds the package.
      this.#note(actionId, true);
      if (isApart(put.file.start)) this.#apart.add(actionId);
      this.#cache.counts.puts++;
      this.#cache.counts.bytes += entry.size;
      this.#answer({ ID: id, DiskPath: entry.path });
      this.#share(actionId, { start: put.file.start, entry });
    } catch (error) {
      put.file.abort();
      this.#answer({ ID: id, Err: error instanceof Error ? error.message : String(error) });
    }
  }

  #get({ id, actionId }: CacheRequest): void {
    const { local, remote, counts } = this.#cache;
    const isGood = isCacheId(actionId);
    const entry = isGood ? local.get(actionId) : undefined;
    if (isGood) this.#note(actionId, entry !== undefined);
    if (entry !== undefined) this.#prefetch?.note(actionId);
    if (entry !== undefined || !isGood || remote === undefined) {
      this.#answerGet(id, entry);
      return;
    }
    const get = this.#fetch(actionId, remote).then((found) => {
      this.#gets.delete(get);
      if (found !== undefined) {
        counts.remoteHits++;
        this.#note(actionId, true);
      }
      this.#answerGet(id, found);
    });
    this.#gets.add(get);
  }

  async #fetch(actionId: string, remote: Remote): Promise<LocalEntry | undefined> {
    if (!this.#hasAskedRemote) {
      this.#hasAskedRemote = true;
      this.#cache.refreshFilters();
      if (this.#name !== undefined) this.#prefetch = this.#cache.joinPrefetch(this.#name());
    }
    const found = (await this.#prefetch?.get(actionId)) ?? 'alone';
    if (found !== 'alone') return found.entry;
    if (!(await this.#isRuledOut(actionId))) return remote.get(actionId, this.#cache.local);
    this.#cache.counts.ruledOut++;
    return undefined;
  }

  /** A set that has an action is newer than a filter that lacks it. */
  async #isRuledOut(actionId: string): Promise<boolean> {
    if (this.#prefetch?.rulesOut(actionId) === true) return true;
    return this.#prefetch?.names(actionId) !== true && (await this.#cache.rulesOut(actionId));
  }

  #note(actionId: string, isThere: boolean): void {
    if (this.#asked.has(actionId) ? isThere : this.#asked.size < SESSION_ACTIONS_MAX)
      this.#asked.set(actionId, isThere);
  }

  #answerGet(id: number, entry: LocalEntry | undefined): void {
    if (entry === undefined) this.#cache.counts.misses++;
    else this.#cache.counts.hits++;
    this.#answer(entry === undefined ? { ID: id, Miss: true } : { ID: id, ...answerOf(entry) });
  }

  /** Never throws: the put is answered. */
  #share(actionId: string, { start, entry }: { readonly start: Buffer; readonly entry: LocalEntry }): void {
    const { local, options } = this.#cache;
    this.#cache.pack(this.#name, actionId, entry);
    const uploads = this.#cache.uploadsOf({ isNamed: this.#name !== undefined });
    if (uploads === undefined || !local.isKept(entry) || entry.size < options.uploadBytesMin) return;
    try {
      if (mayLeave(start, entry.path, options)) uploads.add(actionId);
    } catch {
      // The file is gone again: somebody has deleted the directory.
    }
  }

  #answer(answer: Readonly<Record<string, unknown>>): void {
    this.#write(`${JSON.stringify(answer)}\n`);
  }
}

function answerOf({ outputId, size, time, path }: LocalEntry): Readonly<Record<string, unknown>> {
  return {
    OutputID: Buffer.from(outputId, 'hex').toString('base64'),
    Size: size,
    Time: new Date(Number(BigInt(time) / 1_000_000n)).toISOString(),
    DiskPath: path,
  };
}
