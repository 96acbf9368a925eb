/** Projects that the bench's clients work on, and the files that a tidy of each asks for. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GoClient } from '../../test/support/go.ts';

/**
 * A third project, out of modules that the large one pins and the small one does not have. They are small
 * ones: forty clients unpack on the server's two cores what in life forty machines do.
 */
const OTHER_IMPORTS = [
  'github.com/dgraph-io/ristretto/v2',
  'github.com/docker/go-connections/nat',
  'github.com/go-sql-driver/mysql',
  'github.com/golang-jwt/jwt/v5',
  'github.com/hashicorp/raft',
  'github.com/jmoiron/sqlx',
  'github.com/lmittmann/tint',
  'github.com/segmentio/ksuid',
  'github.com/stretchr/testify/require',
  'github.com/tidwall/gjson',
  'github.com/vmihailenco/msgpack/v5',
  'github.com/yuin/goldmark',
];

/** Makes it. The caller disposes of the client whose project it is. */
export async function otherProject(proxy: string): Promise<GoClient> {
  const client = await GoClient.create(proxy);
  await client.take('large', 'whole');
  const imports = OTHER_IMPORTS.map((path) => `import _ "${path}"\n`).join('');
  await writeFile(join(client.project, 'main.go'), `package main\n\n${imports}\nfunc main() {}\n`);
  const { code, stderr } = await client.run('mod', 'tidy');
  if (code !== 0) throw new Error(`cannot make a project: ${stderr}`);
  return client;
}

/**
 * What `go mod tidy` of a machine that has nothing asks for: a go.mod or a zip for each line of a complete
 * go.sum. Paths below a GOPROXY's root.
 */
export async function tidyRequests(project: string): Promise<string[]> {
  const sums = await readFile(join(project, 'go.sum'), 'utf8');
  return sums
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [module = '', what = ''] = line.split(' ');
      const [version = '', isMod] = what.split('/');
      return `${escaped(module)}/@v/${escaped(version)}.${isMod === undefined ? 'zip' : 'mod'}`;
    });
}

/** As in URLs: a capital is "!" and its small letter. */
function escaped(plain: string): string {
  return plain.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
