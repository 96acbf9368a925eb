/**
 * A checksum database that no one here wrote: golang.org/x/mod/sumdb's own server, on the
 * loopback, with made-up records. Its program is test/sumdb/testdb; needs Go, and x/mod once.
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NotFound } from '../../src/core/errors.ts';

export type SumdbServer = {
  readonly url: string;
  readonly name: string;
  readonly verifierKey: string;
  /** Sends one command of testdb/command.go and gives back its answer. */
  ask(command: { Cmd: string } & Record<string, unknown>): Promise<unknown>;
  /** GETs a path below the root. Throws NotFound for any answer but 200. */
  fetch(path: string): Promise<Uint8Array>;
  close(): Promise<void>;
};

/** Starts one with `records` records: example.com/m0@v1.0.0 and so on. */
export async function startSumdbServer({ records }: { records: number }): Promise<SumdbServer> {
  const dir = mkdtempSync(join(tmpdir(), 'astera-testdb-'));
  const binary = join(dir, 'testdb');
  const source = new URL('../sumdb/testdb', import.meta.url);
  execFileSync('go', ['build', '-buildvcs=false', '-o', binary, '.'], {
    cwd: source,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('testdb ended');
    return JSON.parse(line.value);
  };
  const { url, name, verifierKey } = (await next()) as { url: string; name: string; verifierKey: string };
  const ask: SumdbServer['ask'] = (command) => {
    child.stdin.write(`${JSON.stringify(command)}\n`);
    // Answers come in the order of the commands, and so do the iterator's promises.
    return next();
  };
  const close = async (): Promise<void> => {
    child.stdin.end();
    await exited;
    rmSync(dir, { recursive: true, force: true });
  };
  await ask({ Cmd: 'grow', N: records });
  return { url, name, verifierKey, ask, fetch: (path) => get(`${url}/${path}`), close };
}

async function get(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  const body = new Uint8Array(await response.arrayBuffer());
  if (response.status !== 200) throw new NotFound(`${response.status}: ${Buffer.from(body).toString()}`);
  return body;
}
