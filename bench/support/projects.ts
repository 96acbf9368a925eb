/** Projects that the bench's clients work on, and what a tidy of each asks for. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GoClient } from '../../test/support/go.ts';

/** A third project, out of the modules that the large one pins: some forty, few of them the small one's. */
const OTHER_IMPORTS = [
  'github.com/PuerkitoBio/goquery',
  'github.com/coreos/go-oidc/v3/oidc',
  'github.com/getsentry/sentry-go',
  'github.com/go-playground/validator/v10',
  'github.com/go-sql-driver/mysql',
  'github.com/gofiber/fiber/v2',
  'github.com/hashicorp/raft',
  'github.com/labstack/echo/v4',
  'github.com/miekg/dns',
  'github.com/nats-io/nats.go',
  'github.com/prometheus/client_golang/prometheus/promhttp',
  'github.com/urfave/cli/v2',
  'github.com/vmihailenco/msgpack/v5',
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
