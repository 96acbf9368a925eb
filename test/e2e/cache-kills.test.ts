// Goal: `kill -9` of the server, of the plugin server or of `go`, at random moments of a build, costs no other build, and no wrong
// byte is ever kept or served.
// Method: real builds of a project that changes before each of them; the moment is a random part of a build's time. Afterwards all
// that the server and the local directories hold is hashed again, and the program is compared with that of Go's own cache.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ASTERA, Astera, runAstera } from '../support/astera.ts';
import { assertWhole, buildClient, built, filesIn, programHash } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { lastingPort } from '../support/free-port.ts';
import type { GoClient } from '../support/go.ts';
import { type PluginProcess, servePlugin } from '../support/plugin-process.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

/** Of each kind. */
const KILLS = times({ short: 4, long: 20 });
const PACKAGES = Array.from({ length: 12 }, (_, i) => `p${i}`);

test('killed at random moments, servers and go commands cost no other build and keep no wrong byte', {
  timeout: 1_500_000,
}, async (t) => {
  const [db, cacheDir, ownDir, pluginDir] = ['a.db', 'direct', 'own', 'plugin'].map((name) =>
    join(tempDir(t), name),
  ) as [string, string, string, string];
  const addr = `127.0.0.1:${await lastingPort()}`;
  let astera = await central(t, db, addr);
  const remote = [`--remote=${astera.url}`, '--remote-timeout=2s', '--close-wait=500ms'];
  const startPlugin = (port: number): Promise<PluginProcess> =>
    servePlugin(t, [`--plugin=${port}`, `--cache-dir=${pluginDir}`, ...remote]);
  let plugin = await startPlugin(await lastingPort());
  const program = [
    process.execPath,
    join(CHECKOUT, 'dist/cacheprog.mjs'),
    `--cache-dir=${cacheDir}`,
    ...remote,
  ];
  const direct = await client(t, program.join(' '));
  const connected = await client(t, `${ASTERA} connect ${plugin.port} --cache-dir=${ownDir}`);
  const plain = await client(t, undefined);
  for (const go of [direct, connected, plain]) await built(go);
  const buildMs = await timeOf(
    () => change(direct, 'a measure'),
    () => built(direct),
  );

  const targets = {
    server: async (go: GoClient) => {
      await surviving(go, buildMs, () => astera.kill());
      astera = await central(t, db, addr);
    },
    'plugin server': async () => {
      const { port, child } = plugin;
      await surviving(connected, buildMs, () => killed(child));
      plugin = await startPlugin(port);
    },
    go: async (go: GoClient) => {
      const building = go.start('build', '-o', 'app', '.');
      await wait(Math.random() * buildMs);
      await killed(building);
    },
  };
  const counts = { server: 0, 'plugin server': 0, go: 0 };
  for (let round = 0; round < 2 * KILLS; round++) {
    const go = round % 4 < 2 ? direct : connected;
    const servers = round % 8 === 2 ? 'plugin server' : 'server';
    const target = round % 2 === 0 ? servers : 'go';
    await change(go, `round ${round}`);
    await targets[target](go);
    counts[target]++;
  }
  t.diagnostic(`killed: ${JSON.stringify(counts)}, within ${Math.round(buildMs)} ms`);

  for (const go of [direct, connected, plain]) {
    await change(go, 'the end');
    await built(go);
  }
  assert.deepEqual([direct, connected].map(programHash), [programHash(plain), programHash(plain)]);
  for (const directory of [cacheDir, pluginDir, ownDir]) assertWhole(directory);
  assert.ok(filesIn(join(pluginDir, 'output')).length > 0);
  const { code, stdout, stderr } = await runAstera(['verify', '--db', db]);
  assert.equal(code, 0, `${stdout}${stderr}`);
});

function central(t: TestContext, db: string, addr: string): Promise<Astera> {
  return Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'], db, addr }).then((astera) => {
    t.after(() => astera.dispose());
    return astera;
  });
}

/** A checkout of the project, in which all packages import `lib`. */
async function client(t: TestContext, program: string | undefined): Promise<GoClient> {
  const go = await buildClient(program === undefined ? {} : { program });
  t.after(() => go.dispose());
  for (const name of PACKAGES) {
    await mkdir(join(go.project, name));
    await writeFile(
      join(go.project, name, 'p.go'),
      `package ${name}\n\nimport "example.com/app/lib"\n\nvar P = lib.Change\n`,
    );
  }
  const imports = PACKAGES.map((name) => `import _ "example.com/app/${name}"\n`).join('');
  await writeFile(join(go.project, 'more.go'), `package main\n\n${imports}`);
  await change(go, 'none');
  return go;
}

/** Another text in `lib`: all its importers are compiled again. */
function change(go: GoClient, text: string): Promise<void> {
  return writeFile(
    join(go.project, 'lib/change.go'),
    `package lib\n\nconst Change = ${JSON.stringify(text)}\n`,
  );
}

/** A build that must succeed, whatever `kill` ends meanwhile. */
async function surviving(go: GoClient, buildMs: number, kill: () => Promise<unknown>): Promise<void> {
  const building = built(go);
  await wait(Math.random() * buildMs);
  await kill();
  await building;
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

async function timeOf(before: () => Promise<unknown>, run: () => Promise<unknown>): Promise<number> {
  await before();
  const start = performance.now();
  await run();
  return performance.now() - start;
}
