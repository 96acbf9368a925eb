// Goal: after any sequence of calls the store holds what a plain Map would, and nothing else.
// Method: fast-check makes the calls, a Map is the model; then the file is checked from outside.
// A call may be sent twice, its transaction undone, or the writer opened anew before it.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ActionName, Encoding } from '../../src/core/build-cache-port.ts';
import { NotFound } from '../../src/core/errors.ts';
import { CHUNK_BYTES, INLINE_BYTES_MAX } from '../../src/core/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { assertWhole, bodyOf, chunksOf, contentOf, outputOf, putOutput, sha256Of } from './stores.ts';

const KEYS = ['a', 'b', 'c', 'd'];
/** Two of each size that matters, and one small: few enough that equal content meets. */
const CONTENTS = [
  0,
  5,
  INLINE_BYTES_MAX,
  INLINE_BYTES_MAX + 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  2 * CHUNK_BYTES + 7,
].flatMap((size) => [contentOf(size, 1), contentOf(size, 2)]);

/** Of actions: two in one namespace, and one that is named alike in another. */
const NAMES: ActionName[] = [
  { namespace: '', actionId: sha256Of(contentOf(1)) },
  { namespace: '', actionId: sha256Of(contentOf(2)) },
  { namespace: 'branch', actionId: sha256Of(contentOf(1)) },
];

type Op =
  | { kind: 'put'; key: string; content: number; status: number }
  | { kind: 'open'; key: string }
  | { kind: 'chunk'; growing: number; seed: number; isLast: boolean }
  | { kind: 'seal' | 'drop'; growing: number }
  | { kind: 'output'; content: number; encoding: Encoding }
  | { kind: 'action'; name: ActionName; content: number }
  | { kind: 'drop-action'; name: ActionName }
  | { kind: 'drop-output'; content: number };

const EMPTY = new Uint8Array(0);

type Step = { op: Op; twice: boolean; undone: boolean; reopen: boolean };

const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    kind: fc.constant('put' as const),
    key: fc.constantFrom(...KEYS),
    content: fc.nat(CONTENTS.length - 1),
    status: fc.constantFrom(200, 200, 200, 404, 410),
  }),
  fc.record({ kind: fc.constant('open' as const), key: fc.constantFrom(...KEYS) }),
  fc.record({
    kind: fc.constant('chunk' as const),
    growing: fc.nat(3),
    seed: fc.constantFrom(1, 2),
    isLast: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('seal' as const, 'seal' as const, 'drop' as const), growing: fc.nat(3) }),
  fc.record({
    kind: fc.constant('output' as const),
    content: fc.nat(CONTENTS.length - 1),
    encoding: fc.constantFrom('identity' as const, 'zstd' as const),
  }),
  fc.record({
    kind: fc.constant('action' as const),
    name: fc.constantFrom(...NAMES),
    content: fc.nat(CONTENTS.length - 1),
  }),
  fc.record({ kind: fc.constant('drop-action' as const), name: fc.constantFrom(...NAMES) }),
  fc.record({ kind: fc.constant('drop-output' as const), content: fc.nat(CONTENTS.length - 1) }),
);

const rarely = fc.integer({ min: 0, max: 5 }).map((n) => n === 0);
const step: fc.Arbitrary<Step> = fc.record({ op, twice: rarely, undone: rarely, reopen: rarely });

type Growing = { key: string; chunks: Uint8Array[]; isClosed: boolean };

class Model {
  readonly entries = new Map<string, { status: number; content: Uint8Array }>();
  readonly growing = new Map<number, Growing>();
  /** By output ID. */
  readonly outputs = new Map<string, Uint8Array>();
  /** Output IDs. */
  readonly actions = new Map<ActionName, string>();
  lastBlob = 0;

  /** What `op` asks of a writer; undefined where it makes no sense now. Changes the model when `commit` is called. */
  plan(op: Op): { run: (writer: StoreWriter, reader: StoreReader) => void; commit: () => void } | undefined {
    if (op.kind === 'put') return this.#planPut(op);
    if (op.kind === 'open') return this.#planOpen(op.key);
    if (op.kind === 'output') return this.#planOutput(op);
    if (op.kind === 'action') return this.#planAction(op);
    if (op.kind === 'drop-action') return this.#planDropAction(op.name);
    if (op.kind === 'drop-output') return this.#planDropOutput(sha256Of(CONTENTS[op.content] ?? EMPTY));
    const ids = [...this.growing.keys()];
    const blob = ids[op.growing % Math.max(1, ids.length)];
    const growing = blob === undefined ? undefined : this.growing.get(blob);
    if (blob === undefined || growing === undefined) return undefined;
    if (op.kind === 'chunk') return this.#planChunk(blob, growing, op);
    if (op.kind === 'drop') {
      return { run: (writer) => writer.dropBlob({ blob }), commit: () => this.growing.delete(blob) };
    }
    return this.#planSeal(blob, growing);
  }

  #planPut({ key, status, content }: Op & { kind: 'put' }) {
    const bytes = CONTENTS[status === 200 ? content : content % 6] ?? new Uint8Array();
    const blob = ++this.lastBlob;
    const kept = status === 200 || this.entries.get(key)?.status !== 200;
    return {
      run: (writer: StoreWriter) => {
        const stored = writer.putEntry({
          key,
          status,
          source: 'upstream',
          nowMs: 1,
          blob,
          bytes: bytes.slice(),
        });
        assert.equal(stored.kept, kept);
      },
      commit: () => {
        if (kept) this.entries.set(key, { status, content: bytes });
        if (status === 200) this.#dropOf(key);
      },
    };
  }

  #planOpen(key: string) {
    const blob = ++this.lastBlob;
    const call = { blob, key, size: undefined, etag: undefined, lastModified: undefined, nowMs: 1 };
    return {
      run: (writer: StoreWriter) => void writer.openBlob(call),
      commit: () => {
        this.#dropOf(key);
        this.growing.set(blob, { key, chunks: [], isClosed: false });
      },
    };
  }

  #planChunk(blob: number, growing: Growing, { seed, isLast }: Op & { kind: 'chunk' }) {
    if (growing.isClosed || growing.chunks.length === 3) return undefined;
    const bytes = contentOf(isLast ? 7 : CHUNK_BYTES, seed);
    const seq = growing.chunks.length;
    return {
      run: (writer: StoreWriter) => void writer.putChunk({ blob, seq, bytes: bytes.slice() }),
      commit: () => {
        growing.chunks.push(bytes);
        growing.isClosed = isLast;
      },
    };
  }

  #planSeal(blob: number, { key, chunks }: Growing) {
    if (chunks.length === 0) return undefined;
    const content = new Uint8Array(Buffer.concat(chunks));
    return {
      run: (writer: StoreWriter) => {
        const size = content.byteLength;
        const sealed = writer.sealBlob({ blob, key, size, source: 'upstream', nowMs: 1 });
        assert.equal(sealed.sha256, sha256Of(content));
      },
      commit: () => {
        this.entries.set(key, { status: 200, content });
        this.growing.delete(blob);
      },
    };
  }

  #planOutput({ content, encoding }: Op & { kind: 'output' }) {
    const bytes = CONTENTS[content] ?? EMPTY;
    const blob = ++this.lastBlob;
    return {
      run: (writer: StoreWriter) => void putOutput(writer, { bytes, blob, encoding }),
      commit: () => void this.outputs.set(sha256Of(bytes), bytes),
    };
  }

  #planAction({ name, content }: Op & { kind: 'action' }) {
    const outputId = sha256Of(CONTENTS[content] ?? EMPTY);
    const [before, isStored] = [this.actions.get(name), this.outputs.has(outputId)];
    const put = { ...name, outputId, time: '1', nowMs: 1 };
    return {
      run: (writer: StoreWriter) => {
        if (before === undefined && !isStored) {
          assert.throws(() => writer.putAction(put), NotFound);
          return;
        }
        const { outcome } = writer.putAction(put);
        const isGood = before === undefined || before === outputId;
        assert.equal(outcome === 'refused', !isGood);
      },
      commit: () => {
        if (before === undefined && isStored) this.actions.set(name, outputId);
      },
    };
  }

  #planDropAction(name: ActionName) {
    const outputId = this.actions.get(name);
    return {
      run: (writer: StoreWriter) => void writer.dropAction(name),
      commit: () => {
        this.actions.delete(name);
        const isLone = ![...this.actions.values()].includes(outputId ?? '');
        if (outputId !== undefined && isLone) this.outputs.delete(outputId);
      },
    };
  }

  #planDropOutput(outputId: string) {
    return {
      run: (writer: StoreWriter, reader: StoreReader) => {
        const blob = reader.getOutput({ outputId, body: 'none' }).output?.blob;
        if (blob !== undefined) writer.dropOutput({ blob });
      },
      commit: () => {
        this.outputs.delete(outputId);
        for (const [name, output] of this.actions) if (output === outputId) this.actions.delete(name);
      },
    };
  }

  #dropOf(key: string): void {
    for (const [blob, growing] of this.growing) if (growing.key === key) this.growing.delete(blob);
  }
}

function runSteps(path: string, steps: readonly Step[]): Model {
  const model = new Model();
  let writer = new StoreWriter(path);
  const reader = new StoreReader(path);
  const undone = new Error('undone');
  for (const { op, twice, undone: isUndone, reopen } of steps) {
    if (reopen) {
      writer.close();
      writer = new StoreWriter(path);
    }
    const plan = model.plan(op);
    if (plan === undefined) continue;
    if (isUndone) {
      const attempt = () =>
        writer.inTransaction(() => {
          plan.run(writer, reader);
          throw undone;
        });
      assert.throws(attempt, undone);
    }
    writer.inTransaction(() => plan.run(writer, reader));
    if (twice) writer.inTransaction(() => plan.run(writer, reader));
    plan.commit();
  }
  reader.close();
  writer.close();
  return model;
}

function assertHolds(path: string, model: Model): void {
  const reader = new StoreReader(path);
  try {
    for (const key of KEYS) {
      const expected = model.entries.get(key);
      const { entry, partial } = reader.getEntry({ key });
      assert.equal(entry?.status, expected?.status, `status of ${key}`);
      assert.equal(entry?.size, expected?.content.byteLength);
      const body = bodyOf(reader, key);
      assert.ok(Buffer.from(body ?? []).equals(Buffer.from(expected?.content ?? [])), `body of ${key}`);
      if (entry?.status === 200) continue;
      const growing = [...model.growing].find(([, one]) => one.key === key);
      assert.equal(partial?.blob, growing?.[0], `partial of ${key}`);
      const whole = growing?.[1].chunks.filter((chunk) => chunk.byteLength === CHUNK_BYTES);
      assert.equal(partial?.chunks, whole?.length);
    }
    for (const content of CONTENTS) {
      const outputId = sha256Of(content);
      const expected = model.outputs.get(outputId);
      const stored = outputOf(reader, outputId);
      assert.deepEqual(stored && sha256Of(stored), expected && sha256Of(expected), 'an output');
    }
    for (const name of NAMES) {
      const { action } = reader.getAction({ namespaces: [name.namespace], ...name, body: 'none' });
      assert.equal(action?.outputId, model.actions.get(name), 'an action');
    }
  } finally {
    reader.close();
  }
}

test('any calls leave what a Map would hold, every hash true and nothing that nobody points to', (t) => {
  const dir = tempDir(t);
  let run = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 30 }), (steps) => {
      const path = join(dir, `${run++}.db`);
      const model = runSteps(path, steps);
      assertHolds(path, model);
      assertWhole(path);
    }),
    { numRuns: 60 },
  );
});

test('contents are what the model takes them for', () => {
  const all = new Set(CONTENTS.map(sha256Of));
  assert.equal(all.size, CONTENTS.length - 1, 'all differ but the two empty ones');
  assert.deepEqual(
    chunksOf(contentOf(2 * CHUNK_BYTES + 7)).map((chunk) => chunk.byteLength),
    [CHUNK_BYTES, CHUNK_BYTES, 7],
  );
});
