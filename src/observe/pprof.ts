/**
 * Turns V8's profiles into the format of `go tool pprof`.
 *
 * Both kinds of V8 profile are trees of calls with weights, one tree for each thread. All threads go into one profile.
 * The labels `thread` and `thread_id` tell them apart.
 *
 * Follows https://github.com/google/pprof/blob/main/proto/profile.proto.
 */

import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Function as CallFunction,
  Label,
  Line,
  Location,
  Profile,
  Sample,
  StringTable,
  ValueType,
} from 'pprof-format';
import { BundledSources } from './bundled-sources.ts';
import type { CallFrame, CallNode } from './call-tree.ts';

export type ThreadCalls = {
  /** `front`, `reader`, … */
  readonly thread: string;
  readonly threadId: number;
  /** The root's own frame is left out: it stands for the thread. */
  readonly root: CallNode;
};

type Unit = { readonly type: string; readonly unit: string };

export type ProfileShape = {
  /** The types of each node's weights, in order. */
  readonly units: readonly Unit[];
  readonly periodUnit: Unit;
  readonly period: number;
  /** Unix time. */
  readonly startedAtMs: number;
  readonly durationMs: number;
};

/** The profile as pprof's protocol buffer, not compressed. */
export function encodeProfile(threads: readonly ThreadCalls[], shape: ProfileShape): Uint8Array {
  const builder = new ProfileBuilder();
  for (const thread of threads) builder.addThread(thread);
  return builder.encode(shape);
}

class ProfileBuilder {
  readonly #strings = new StringTable();
  readonly #functions: CallFunction[] = [];
  readonly #locations: Location[] = [];
  readonly #samples: Sample[] = [];
  readonly #locationIds = new Map<string, number>();
  readonly #sources = new BundledSources(DIST);

  addThread({ thread, threadId, root }: ThreadCalls): void {
    const label = [
      new Label({ key: this.#text('thread'), str: this.#text(thread) }),
      new Label({ key: this.#text('thread_id'), num: threadId }),
    ];
    // An explicit stack, as V8's trees may be too deep for recursion.
    const open = root.children.map((node) => ({ node, callers: [] as readonly number[] }));
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { node, callers } = next;
      const locationId = [this.#locationOf(node.frame), ...callers];
      if (node.weights.some((weight) => weight > 0)) {
        this.#samples.push(new Sample({ locationId, value: [...node.weights], label }));
      }
      for (const child of node.children) open.push({ node: child, callers: locationId });
    }
  }

  encode({ units, periodUnit, period, startedAtMs, durationMs }: ProfileShape): Uint8Array {
    return new Profile({
      sampleType: units.map((unit) => this.#unit(unit)),
      sample: this.#samples,
      location: this.#locations,
      function: this.#functions,
      periodType: this.#unit(periodUnit),
      period,
      timeNanos: BigInt(Math.round(startedAtMs)) * 1_000_000n,
      durationNanos: Math.round(durationMs * 1e6),
      stringTable: this.#strings,
    }).encode();
  }

  #locationOf({ functionName, url, lineNumber }: CallFrame): number {
    const key = `${functionName}\n${url}\n${lineNumber}`;
    const known = this.#locationIds.get(key);
    if (known !== undefined) return known;
    const id = this.#locations.length + 1;
    const file = shortFile(this.#fileOf(url, lineNumber));
    const name = this.#text(nameOf(functionName, file, lineNumber));
    const line = Math.max(1, lineNumber + 1);
    this.#functions.push(
      new CallFunction({ id, name, systemName: name, filename: this.#text(file), startLine: line }),
    );
    this.#locations.push(new Location({ id, line: [new Line({ functionId: id, line })] }));
    this.#locationIds.set(key, id);
    return id;
  }

  /** Its path, or its source's where it has several. */
  #fileOf(url: string, lineNumber: number): string {
    if (!url.startsWith('file://')) return url;
    const path = fileURLToPath(url);
    const source = this.#sources.sourceOf(path, lineNumber);
    return source === undefined ? path : `${HOME}${source}`;
  }

  #unit({ type, unit }: Unit): ValueType {
    return new ValueType({ type: this.#text(type), unit: this.#text(unit) });
  }

  #text(text: string): number {
    return this.#strings.dedup(text);
  }
}

/** The function's name with its file, such as `#onGet src/front/server.ts`: `pprof -top` does not show files. */
function nameOf(functionName: string, file: string, lineNumber: number): string {
  if (file === '') return functionName === '' ? '(native)' : functionName;
  if (functionName !== '') return `${functionName} ${file}`;
  return lineNumber < 1 ? `(module) ${file}` : `(anonymous) ${file}:${lineNumber + 1}`;
}

/** A short file name: `src/front/server.ts` here, `piscina/dist/worker.js` in a package, `node:…` in Node. */
function shortFile(path: string): string {
  const packages = path.lastIndexOf(PACKAGES);
  if (packages >= 0) return path.slice(packages + PACKAGES.length);
  return path.startsWith(HOME) ? path.slice(HOME.length) : path;
}

/** The path of `src/`, with a slash at its end. */
const HOME = fileURLToPath(new URL('../..', import.meta.url));

const DIST = `${HOME}dist${sep}`;

const PACKAGES = `${sep}node_modules${sep}`;
