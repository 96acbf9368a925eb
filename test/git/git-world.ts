/** Repositories for tests: on this disk behind an https name, or behind an HTTP server on loopback that may be hostile. */

import { chmodSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';
import { gitRig } from './git-rig.ts';
import { writeInsteadOf } from './go-direct.ts';
import { type MadeCommit, makeRepository } from './repository-maker.ts';

/** A repository that is served from this disk, a home that leads to it, and a log of what git was run for. */
export function gitWorld(
  t: TestContext,
  commits: readonly MadeCommit[],
  /** Shell words that are run before each git. */
  { before = ':' }: { before?: string } = {},
) {
  const home = tempDir(t);
  const served = join(home, 'served', 'x');
  makeRepository(served, commits);
  writeInsteadOf(home, { 'https://corp.example/': `file://${home}/served/` });
  const log = join(home, 'log');
  writeFileSync(log, '');
  const bin = join(home, 'bin-git');
  writeFileSync(
    bin,
    `#!/bin/sh\nprintf '%s ' "$@" >> ${log}; echo >> ${log}\n${before}\nPATH=\${PATH#*:} exec git "$@"\n`,
  );
  chmodSync(bin, 0o755);
  const wrappers = tempDir(t);
  renameSync(bin, join(wrappers, 'git'));
  const environment = { PATH: `${wrappers}:${process.env.PATH}` };
  const rig = gitRig({ home, environment });
  const ran = (command: string) =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(` ${command} `));
  const directoryOf = (name: string) => join(rig.directory, readdirSync(rig.directory)[0] ?? '', name);
  return { home, served, environment, rig, ran, directoryOf, again: () => gitRig({ home, environment }) };
}

/** An HTTP server on loopback; its address. */
export async function serveHttp(
  t: Pick<TestContext, 'after'>,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
