/** Holds the answers of a Git source against those of the `go` command in direct mode, as tests of their own. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { isServeError } from '../../src/core/errors.ts';
import { escapeModulePath, parseModulePath, unescapeModulePath } from '../../src/core/module-path.ts';
import { parseVersion } from '../../src/core/version.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import type { DirectAnswer, GoDirect } from './go-direct.ts';

export type Comparison = {
  readonly go: GoDirect;
  readonly rig: { readonly text: Text; readonly zip: Zip };
  readonly module: string;
  /** `name` stands in the test's name, as hashes say little. */
  readonly queries: readonly { readonly query: string; readonly name: string }[];
};

/** Compares the list, and for each query the version, `.info`, `.mod` and the zip's hash, or that both refuse. */
export async function compareWithGo(t: TestContext, { go, rig, module, queries }: Comparison): Promise<void> {
  const escaped = escapeModulePath(parseModulePath(module));
  await t.test(`list of ${module}`, async () => {
    const list = await settled(rig.text(`${escaped}/@v/list`));
    const versions = list.text?.split('\n').filter((line) => line !== '') ?? [];
    assert.deepEqual(versions, await go.versions(module));
  });
  const answers = await go.download(
    module,
    queries.map(({ query }) => query),
  );
  for (const [at, direct] of answers.entries()) {
    const { query, name } = queries[at] ?? { query: '', name: '' };
    await t.test(`${module}@${name}`, () => compareAnswer(direct, { escaped, query, rig }));
  }
}

async function compareAnswer(
  direct: DirectAnswer,
  { escaped, query, rig }: { escaped: string; query: string; rig: Comparison['rig'] },
): Promise<void> {
  const asked =
    query === 'latest'
      ? await latest(escaped, rig.text)
      : await settled(rig.text(`${escaped}/@v/${bang(query)}.info`));
  if ('error' in direct) {
    // A version that can be resolved may still have no go.mod or zip.
    const whole = asked.text === undefined ? asked : await files(escaped, asked.text, rig);
    assert.ok(whole.error !== undefined, `go: ${direct.error}\nhere: ${JSON.stringify(whole)}`);
    return;
  }
  assert.equal(asked.error, undefined, `go: ${direct.version}`);
  const { Version, Origin } = JSON.parse(asked.text ?? '');
  assert.equal(Version, direct.version);
  // Of a version less is kept than of a query; that is below.
  if (query !== 'latest' && parseVersion(query) === undefined)
    assert.deepEqual(withoutRef(Origin), withoutRef(direct.origin));
  const { mod, info, sum, error } = await files(escaped, asked.text ?? '', rig);
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

/** As the go command asks a proxy for the newest version: its list, and @latest where that is empty. */
async function latest(escaped: string, text: Text): Promise<Settled> {
  const list = await settled(text(`${escaped}/@v/list`));
  const versions = list.text?.split('\n').filter((line) => line !== '') ?? [];
  const releases = versions.filter((version) => !version.includes('-'));
  const newest = releases.at(-1) ?? versions.at(-1);
  return await settled(
    text(newest === undefined ? `${escaped}/@latest` : `${escaped}/@v/${bang(newest)}.info`),
  );
}

async function files(
  escaped: string,
  answer: string,
  { text, zip }: { text: Text; zip: Zip },
): Promise<Settled> {
  const { Version } = JSON.parse(answer);
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
