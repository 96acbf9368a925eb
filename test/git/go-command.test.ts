// Goal: for every awkward repository, list, .info, .mod and zip are what the go command makes of it in direct mode, or both
// refuse.
// Method: both read the same repositories on this disk, under https names that a .gitconfig leads there; compared live.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isServeError } from '../../src/core/errors.ts';
import { escapeModulePath, parseModulePath, unescapeModulePath } from '../../src/core/module-path.ts';
import { parseVersion } from '../../src/core/version.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import { tempDir } from '../support/temp-dir.ts';
import { AWKWARD, type Awkward } from './awkward-repositories.ts';
import { gitRig } from './git-rig.ts';
import { GoDirect, writeInsteadOf } from './go-direct.ts';
import { gitIn, makeRepository } from './repository-maker.ts';

const home = tempDir({ after });
writeInsteadOf(home, { 'https://corp.example/': `file://${home}/served/` });

for (const awkward of AWKWARD) {
  test(`as the go command: ${awkward.name}: ${awkward.why}`, async (t) => {
    const directory = join(home, 'served', awkward.name);
    const { format = 'sha1', head = 'main' } = awkward;
    makeRepository(directory, awkward.commits, { format, head });
    const go = new GoDirect(home);
    go.forget();
    const { text, zip } = gitRig({ home });
    for (const [below, asks] of Object.entries(awkward.asks)) {
      const module = `corp.example/${awkward.name}.git${below}`;
      const escaped = escapeModulePath(parseModulePath(module));
      await t.test(`list of ${module}`, async () => {
        const versions = await settled(text(`${escaped}/@v/list`));
        assert.deepEqual(
          versions.text?.split('\n').filter((line) => line !== '') ?? [],
          await go.versions(module),
        );
      });
      const queries = asks.map((ask) => revision(directory, awkward, ask));
      const answers = await go.download(module, queries);
      for (const [at, direct] of answers.entries()) {
        const query = queries[at] ?? '';
        await t.test(`${module}@${asks[at]}`, async () => {
          const asked =
            query === 'latest'
              ? await latest(escaped, text)
              : await settled(text(`${escaped}/@v/${bang(query)}.info`));
          if ('error' in direct) {
            // A version that can be resolved may still have no go.mod or zip.
            const whole = asked.text === undefined ? asked : await files(escaped, asked.text, { text, zip });
            assert.ok(whole.error !== undefined, `go: ${direct.error}\nhere: ${JSON.stringify(whole)}`);
            return;
          }
          assert.equal(asked.error, undefined, `go: ${direct.version}`);
          const { Version, Origin } = JSON.parse(asked.text ?? '');
          assert.equal(Version, direct.version);
          // Of a version less is kept than of a query; that is below.
          if (query !== 'latest' && parseVersion(query) === undefined)
            assert.deepEqual(withoutRef(Origin), withoutRef(direct.origin));
          const { mod, info, sum, error } = await files(escaped, asked.text ?? '', { text, zip });
          assert.equal(error, undefined);
          assert.equal(mod, direct.goMod);
          assert.equal(sum, direct.sum);
          const kept = JSON.parse(info ?? '');
          assert.deepEqual(
            { ...kept, Origin: withoutRef(kept.Origin) },
            { ...direct.info, Origin: withoutRef(direct.info.Origin) },
          );
        });
      }
    }
  });
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

/** `#2` is the hash of main's second commit, `#2:12` its first digits, `@2` its time and hash as in a pseudo-version. */
function revision(directory: string, { head = 'main' }: Awkward, ask: string): string {
  const commit = (number: string | undefined, format: string) => {
    const all = gitIn(
      directory,
      'log',
      '--reverse',
      `--format=${format}`,
      '--date=format-local:%Y%m%d%H%M%S',
      head,
    );
    return all.split('\n')[Number(number) - 1] ?? '';
  };
  const hash = /^#(\d+)(?::(\d+))?$/.exec(ask);
  if (hash !== null) return commit(hash[1], '%H').slice(0, Number(hash[2] ?? 64));
  return ask.replace(/@(\d+)([xst]?)/, (_, number: string, change: string) => {
    const [seconds, full = ''] = commit(number, '%ct %H').split(' ');
    const time = new Date((Number(seconds) + (change === 't' ? 1 : 0)) * 1000);
    const length = change === 'x' ? 14 : change === 's' ? 10 : 12;
    return `${time.toISOString().replace(/\D/g, '').slice(0, 14)}-${full.slice(0, length)}`;
  });
}
