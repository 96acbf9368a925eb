// Goal: for every awkward repository, list, .info, .mod and zip are what the go command makes of it in direct mode, or both
// refuse.
// Method: both read the same repositories on this disk, under https names that a .gitconfig leads there; compared live.

import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AWKWARD, type Awkward } from '../git/awkward-repositories.ts';
import { ComparisonWithGo, type Query } from '../git/compare.ts';
import { gitRig } from '../git/git-rig.ts';
import { GoDirect, writeInsteadOf } from '../git/go-direct.ts';
import { gitIn, makeRepository } from '../git/repository-maker.ts';
import { tempDir } from '../support/temp-dir.ts';

const home = tempDir({ after });
writeInsteadOf(home, { 'https://corp.example/': `file://${home}/served/` });

let comparison: ComparisonWithGo;

before(async () => {
  const asked = new Map<string, Query[]>();
  for (const awkward of AWKWARD) {
    const { name, commits, format = 'sha1', head = 'main' } = awkward;
    const directory = join(home, 'served', name);
    makeRepository(directory, commits, { format, head });
    for (const [below, asks] of Object.entries(awkward.asks)) {
      const queries = asks.map((ask) => ({ query: revision(directory, awkward, ask), name: ask }));
      asked.set(moduleOf(awkward, below), queries);
    }
  }
  comparison = await ComparisonWithGo.ask({ go: new GoDirect(home), rig: gitRig({ home }), asked });
});

for (const awkward of AWKWARD) {
  test(`as the go command: ${awkward.name}: ${awkward.why}`, async (t) => {
    for (const below of Object.keys(awkward.asks)) await comparison.module(t, moduleOf(awkward, below));
  });
}

function moduleOf({ name }: Awkward, below: string): string {
  return `corp.example/${name}.git${below}`;
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
