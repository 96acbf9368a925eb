// Question: what does a login add to a hot answer?
// Method: one small file of a public module without a login, and one of a private module with each kind of login, in
// turns; medians of the rounds' CPU and of their ratios to the public file. The same private file from a trusted network
// comes from a second server.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatAccounts } from '../src/access/accounts.ts';
import { hashPassword, hashToken, newToken } from '../src/access/secret.ts';
import { Astera } from '../test/support/astera.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { beside, type Server } from './support/beside.ts';
import { steadyLoad } from './support/steady-load.ts';
import { short, type Table, verdict } from './support/table.ts';
import { noiseModule } from './support/tree.ts';

const CONNECTIONS = 64;
const ROUNDS = 15;
const GOAL = { atMost: 1.15 };
const PUBLIC = 'made-up.example/open/@v/v1.0.0.info';
const PRIVATE = 'made-up.example/shut/@v/v1.0.0.info';
const PASSWORD = 'correct horse battery staple';

type Case = { readonly name: string; readonly path: string; readonly headers?: Record<string, string> };

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const directory = mkdtempSync(join(tmpdir(), 'astera-login-'));
  const authFile = join(directory, 'users');
  const [token, tied] = [newToken(), newToken()];
  const user = {
    kind: 'user',
    name: 'alice',
    scopes: ['private'],
    password: await hashPassword(PASSWORD),
  } as const;
  const ci = {
    kind: 'token',
    name: 'ci',
    scopes: ['private'],
    sha256: hashToken(token),
    expiresMs: Infinity,
  } as const;
  const team = {
    ...ci,
    name: 'team',
    scopes: ['private:made-up.example/shut'],
    sha256: hashToken(tied),
  } as const;
  writeFileSync(authFile, formatAccounts([user, ci, team]));
  const upstream = await UpstreamProcess.start({ madeUp: [noiseModule('open', 1), noiseModule('shut', 1)] });
  const start = (allow: string) =>
    Astera.start({
      upstream: upstream.url,
      flags: ['--private', 'made-up.example/shut', '--private-allow', allow, '--auth-file', authFile],
      env: { GONOPROXY: 'none', ASTERA_VERIFY: 'off', ASTERA_CACHE_TTL: '1h' },
    });
  const [strict, trusting] = [await start('none'), await start('loopback')];
  const basic = (login: string) => ({ authorization: `Basic ${btoa(login)}` });
  const cases: readonly Case[] = [
    { name: 'public, no login', path: PUBLIC },
    { name: 'public, with a login', path: PUBLIC, headers: basic(`alice:${PASSWORD}`) },
    { name: 'private, from a trusted network', path: PRIVATE },
    { name: 'private, a password', path: PRIVATE, headers: basic(`alice:${PASSWORD}`) },
    { name: 'private, a token in `.netrc`', path: PRIVATE, headers: basic(`any:${token}`) },
    { name: 'private, a token for one module', path: PRIVATE, headers: basic(`any:${tied}`) },
    { name: 'private, `/token/…` in the path', path: `token/${token}/${PRIVATE}` },
  ];
  try {
    const servers = cases.map(({ name }): Server => {
      const { url, pid } = name.includes('trusted') ? trusting : strict;
      return { name, url, pids: [pid] };
    });
    const load = async ({ name, url }: Server) => {
      const { path, headers = {} } = cases.find((one) => one.name === name) ?? { path: PUBLIC };
      await fetch(`${url}/${path}`, { headers }); // A password is checked once, before the load.
      return steadyLoad(
        { url, paths: [path], connections: CONNECTIONS, seconds: 1, headers },
        { isLarge: false },
      );
    };
    const figures = await beside(servers, isQuick ? 3 : ROUNDS, load);
    return {
      title: 'Login: hot small answers with and without one, 64 connections',
      columns: ['', 'CPU µs/request', 'of one without', 'goal', 'requests/s', 'errors'],
      rows: figures.map(({ server, cpuUs, ratio, requestsPerSecond, errors }) => [
        server,
        short(cpuUs),
        short(ratio),
        server === 'public, no login' ? '' : verdict(ratio, GOAL),
        short(requestsPerSecond),
        errors,
      ]),
    };
  } finally {
    await strict.dispose();
    await trusting.dispose();
    await upstream.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
