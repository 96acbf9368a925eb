/**
 * The corpus as a checksum database has it: the records that `go` would have checked it against.
 *
 * A zip's hash is the one that `go` wrote beside it when the corpus was filled.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { corpusFiles } from './corpus.ts';

/** One record for each version of which there is a go.mod: what test/sumdb/testdb takes as `Texts`. */
export function corpusRecords(root: string): string[] {
  return corpusFiles(root)
    .filter(({ path }) => path.endsWith('.mod'))
    .map(({ path }) => {
      const stem = path.slice(0, -'.mod'.length);
      const [module, version] = stem.split('/@v/').map(unescapeCapitals);
      const mod = hashGoMod(readFileSync(join(root, path)));
      const zip = zipHash(root, stem) ?? UNKNOWN;
      return `${module} ${version} ${zip}\n${module} ${version}/go.mod ${mod}\n`;
    });
}

/** What `go` says of the zip of `stem`, as in `github.com/!azure/x/@v/v1.0.0`. */
export function zipHash(root: string, stem: string): string | undefined {
  const file = join(root, `${stem}.ziphash`);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

/** Nobody downloads these: a `tidy` wants the go.mod alone. */
const UNKNOWN = `h1:${'A'.repeat(43)}=`;

function unescapeCapitals(escaped: string): string {
  return escaped.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
