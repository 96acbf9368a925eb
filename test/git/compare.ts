/** Holds the answers of a Git source against those of the `go` command in direct mode. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { isServeError } from '../../src/core/errors.ts';
import { escapeModulePath, parseModulePath, unescapeModulePath } from '../../src/core/module-path.ts';
import { parseVersion, type Version } from '../../src/core/version.ts';
import { isRetracted, parseGoModLax } from '../../src/git/go-mod-file.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import type { DirectAnswer, GoDirect } from './go-direct.ts';

/** `name` stands in the test's name, as hashes say little. */
export type Query = { readonly query: string; readonly name: string };

export type Comparison = {
  readonly go: GoDirect;
  readonly rig: { readonly text: Text; readonly zip: Zip };
  /** By the modules. */
  readonly asked: ReadonlyMap<string, readonly Query[]>;
};

/** Compares the list, and for each query the version, `.info`, `.mod` and the zip's hash, or that both refuse. */
export class ComparisonWithGo {
  readonly #comparison: Comparison;
  readonly #versions: ReadonlyMap<string, readonly string[]>;
  readonly #answers: ReadonlyMap<string, readonly DirectAnswer[]>;

  /** Asks the `go` command all at once. */
  static async ask(comparison: Comparison): Promise<ComparisonWithGo> {
    const { go, asked } = comparison;
    const modules = [...asked].map(([module, queries]) => ({
      module,
      queries: queries.map(({ query }) => query),
    }));
    const answers = await go.download(modules);
    return new ComparisonWithGo(comparison, await go.versions([...asked.keys()]), answers);
  }

  private constructor(
    comparison: Comparison,
    versions: ReadonlyMap<string, readonly string[]>,
    answers: ReadonlyMap<string, readonly DirectAnswer[]>,
  ) {
    this.#comparison = comparison;
    this.#versions = versions;
    this.#answers = answers;
  }

  /** How many questions the `go` command answered, and how many it refused. */
  get counts(): { readonly answers: number; readonly errors: number } {
    const all = [...this.#answers.values()].flat();
    const errors = all.filter((answer) => 'error' in answer).length;
    return { answers: all.length - errors, errors };
  }

  /** The comparison of one module, as tests of their own. */
  async module(t: TestContext, module: string): Promise<void> {
    const { rig, asked } = this.#comparison;
    const escaped = escapeModulePath(parseModulePath(module));
    await t.test(`list of ${module}`, async () => {
      const list = await settled(rig.text(`${escaped}/@v/list`));
      const versions = list.text?.split('\n').filter((line) => line !== '') ?? [];
      assert.deepEqual(versions, this.#versions.get(module));
    });
    const made = new Map<string, Promise<Settled>>();
    for (const [at, direct] of (this.#answers.get(module) ?? []).entries()) {
      const { query, name } = asked.get(module)?.[at] ?? { query: '', name: '' };
      await t.test(`${module}@${name}`, () => compareAnswer(direct, { escaped, query, rig, made }));
    }
  }
}

type Answering = {
  readonly escaped: string;
  readonly rig: Comparison['rig'];
  /** The files of each version that was made already: several queries lead to one. */
  readonly made: Map<string, Promise<Settled>>;
};

async function compareAnswer(
  direct: DirectAnswer,
  { query, ...answering }: Answering & { readonly query: string },
): Promise<void> {
  const { escaped, rig } = answering;
  const asked =
    query === 'latest'
      ? await latest(escaped, rig.text)
      : await settled(rig.text(`${escaped}/@v/${bang(query)}.info`));
  if ('error' in direct) {
    // A version that can be resolved may still have no go.mod or zip.
    const whole = asked.text === undefined ? asked : await files(asked.text, answering);
    assert.ok(whole.error !== undefined, `go: ${direct.error}\nhere: ${JSON.stringify(whole)}`);
    return;
  }
  assert.equal(asked.error, undefined, `go: ${direct.version}`);
  const { Version, Origin } = JSON.parse(asked.text ?? '');
  assert.equal(Version, direct.version);
  // Of a version less is kept than of a query; that is below.
  if (query !== 'latest' && parseVersion(query) === undefined)
    assert.deepEqual(withoutRef(Origin), withoutRef(direct.origin));
  const { mod, info, sum, error } = await files(asked.text ?? '', answering);
  assert.equal(error, undefined);
  assert.equal(mod, direct.goMod);
  assert.equal(sum, direct.sum);
  const kept = JSON.parse(info ?? '');
  assert.deepEqual(
    { ...kept, Origin: withoutRef(kept.Origin) },
    { ...direct.info, Origin: withoutRef(direct.info.Origin) },
  );
}

/** Of a commit that one `go` process meets by several names, it keeps the name that came first. */
function withoutRef(origin: object) {
  return { ...origin, Ref: undefined };
}

type Text = (path: string) => Promise<string>;
type Zip = (path: string) => Promise<Buffer>;
type Settled = { text?: string; error?: string; mod?: string; info?: string; sum?: string };

async function settled(asked: Promise<string>): Promise<Settled> {
  try {
    return { text: await asked };
  } catch (error) {
    if (!isServeError(error)) throw error;
    return { error: `${error.kind}: ${error.message}` };
  }
}

/** As the go command asks a proxy for the newest version: its list without what is retracted, and @latest where that is empty. */
async function latest(escaped: string, text: Text): Promise<Settled> {
  const list = await settled(text(`${escaped}/@v/list`));
  const listed = (list.text ?? '').split('\n').flatMap((line) => parseVersion(line) ?? []);
  if (listed.length === 0) return await settled(text(`${escaped}/@latest`));
  const goMod = await settled(text(`${escaped}/@v/${bang(newestOf(listed))}.mod`));
  const retracted = parseGoModLax(Buffer.from(goMod.text ?? ''))?.retracted ?? [];
  const versions = listed.filter((version) => !isRetracted(retracted, version));
  const path = versions.length === 0 ? '@latest' : `@v/${bang(newestOf(versions))}.info`;
  return await settled(text(`${escaped}/${path}`));
}

/** The last release of a rising list, else its last pre-release. */
function newestOf(versions: readonly Version[]): string {
  return versions.findLast((version) => !version.includes('-')) ?? versions.at(-1) ?? '';
}

async function files(answer: string, { escaped, rig, made }: Answering): Promise<Settled> {
  const { Version } = JSON.parse(answer);
  const known = made.get(Version) ?? make(escaped, Version, rig);
  made.set(Version, known);
  return await known;
}

async function make(escaped: string, Version: Version, { text, zip }: Comparison['rig']): Promise<Settled> {
  const version = bang(Version);
  const mod = await settled(text(`${escaped}/@v/${version}.mod`));
  const info = await settled(text(`${escaped}/@v/${version}.info`));
  const sum = await settled(
    zip(`${escaped}/@v/${version}.zip`).then((bytes) => {
      const source = bufferSource(bytes);
      const owner = { module: unescapeModulePath(escaped), version: Version };
      return hashZip(source, owner).h1;
    }),
  );
  const error = mod.error ?? info.error ?? sum.error;
  return error === undefined
    ? { mod: mod.text ?? '', info: info.text ?? '', sum: sum.text ?? '' }
    : { error };
}

function bang(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
