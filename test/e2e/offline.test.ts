// Goal: what worked once works again when the outside is gone, with the same results; and what appears
// outside is seen when its time has come.
// Method: each command runs once through a server before a live upstream. Then the store is copied and
// the upstream is gone in each way: refusing, taking requests without answering, losing packets,
// `--offline`, `/cached-only`. From empty client caches each command must end as it did. The TTLs are
// short, so that all that is stored has lost its freshness by then.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../support/astera.ts';
import { ensureCorpus } from '../support/corpus.ts';
import { GoClient, type GoResult, type ModuleFiles } from '../support/go.ts';
import { blackHole, type Gone, refusing, silent } from '../support/gone-upstream.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import type { MadeUpModule } from '../support/module-zip.ts';

type Command = { readonly what: 'whole' | 'imports'; readonly args: readonly string[] };

const commands: readonly Command[] = [
  { what: 'whole', args: ['mod', 'tidy'] },
  { what: 'imports', args: ['mod', 'tidy'] },
  { what: 'whole', args: ['get', '-u', './...'] },
  { what: 'whole', args: ['list', '-m', '-versions', 'github.com/google/uuid'] },
  { what: 'whole', args: ['mod', 'download'] },
  { what: 'imports', args: ['install', 'github.com/BurntSushi/toml/cmd/tomlv@v1.5.0'] },
];

/** A command may hang on a line that is gone; none may for so long. */
const KILL_MS = 60_000;

const SHORT_TTLS = [
  '--verify',
  'off',
  '--list-ttl',
  '1ms',
  '--negative-ttl',
  '1ms',
  '--first-byte-wait',
  '10s',
];

type Outcome = GoResult & { readonly files: ModuleFiles };

let scratch: string;
let root: string;
const wanted = new Map<Command, Outcome>();

/** The store after every command ran once. */
let db: string;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'astera-offline-'));
  root = await ensureCorpus();
  const upstream = await LocalUpstream.start({ root });
  const astera = await Astera.start({
    ...{ upstream: upstream.url, db: join(scratch, 'online.db'), flags: SHORT_TTLS },
  });
  try {
    for (const command of commands) {
      const outcome = await withClient(astera.url, (client) => outcomeOf(client, command));
      assert.equal(outcome.code, 0, outcome.stderr);
      wanted.set(command, outcome);
    }
    await astera.stop();
    db = astera.db;
  } finally {
    await astera.dispose();
    await upstream.close();
  }
});

after(() => rm(scratch, { recursive: true, force: true }));

const ways: readonly {
  readonly why: string;
  readonly gone: () => Promise<Gone>;
  readonly flags?: readonly string[];
  readonly prefix?: string;
}[] = [
  { why: 'the upstream refuses connections', gone: refusing },
  { why: 'the upstream takes requests and never answers', gone: silent },
  { why: 'the upstream loses all packets', gone: blackHole },
  { why: '--offline', gone: refusing, flags: ['--offline'] },
  { why: '/cached-only', gone: refusing, prefix: '/cached-only' },
];

for (const { why, gone, flags = [], prefix = '' } of ways) {
  const isAtOnce = flags.length > 0 || prefix !== '';
  describe(why, () => {
    let outside: Gone;
    let astera: Astera;

    before(async () => {
      outside = await gone();
      const copy = join(scratch, `${why.replaceAll(/\W+/g, '-')}.db`);
      await copyFile(db, copy);
      astera = await Astera.start({ upstream: outside.url, db: copy, flags: [...SHORT_TTLS, ...flags] });
    });

    after(async () => {
      await astera.dispose();
      await outside.close();
    });

    for (const command of commands) {
      const { args, what } = command;
      // These need nothing but versions that are stored. No upstream is asked for those, so one way shows it.
      if (why !== ways[0]?.why && what === 'whole' && args[0] === 'mod') continue;
      test(`go ${args.join(' ')} (${what})`, { timeout: KILL_MS }, () =>
        withClient(astera.url + prefix, async (client) => {
          const { code, stderr, stdout, files } = await outcomeOf(client, command);
          assert.equal(code, 0, `${stderr}\n${astera.log}`);
          assert.equal(stdout, wanted.get(command)?.stdout);
          assert.deepEqual(files, wanted.get(command)?.files);
        }),
      );
    }

    test('what is not stored is refused: 404 only where the store is the world', async () => {
      const answer = await astera.get(
        `${prefix.slice(1)}/unknown.example/m/@v/v1.0.0.mod`.replace(/^\//, ''),
      );
      assert.equal(answer.status, isAtOnce ? 404 : 504);
      assert.match(await answer.text(), /^cannot [^\n]+\n$/);
    });
  });
}

test('a release is seen by go get -u when its time has come, with one request in between', async () => {
  const path = 'made-up.example/released';
  const made = (version: string): MadeUpModule => ({ path, version, contentBytes: 1000 });
  const older = await LocalUpstream.start({ madeUp: [made('v1.0.0')] });
  const newer = await LocalUpstream.start({ madeUp: [made('v1.0.0'), made('v1.1.0')], latencyMs: 300 });
  const flags = ['--verify', 'off', '--list-ttl', '1h'];
  const file = join(scratch, 'release.db');
  const withServer = async (
    upstream: LocalUpstream,
    ttl: readonly string[],
    work: (astera: Astera) => Promise<void>,
  ) => {
    const astera = await Astera.start({ upstream: upstream.url, db: file, flags: [...flags, ...ttl] });
    try {
      await work(astera);
      await astera.stop();
    } finally {
      await astera.dispose();
    }
  };
  try {
    await withServer(older, [], async (astera) => assert.equal(await upgraded(astera, path), 'v1.0.0'));
    await withServer(newer, [], async (astera) => {
      assert.equal(await upgraded(astera, path), 'v1.0.0', 'within its time the stored list goes out');
      assert.deepEqual(newer.counters.requests, {}, 'and nobody is asked');
    });
    // A line too slow for the first client's patience: it gets what is stored, and the next the release.
    await withServer(newer, ['--list-ttl', '1ms', '--stale-wait', '1ms'], async (astera) => {
      const stale = await astera.get(`${path}/@v/list`);
      assert.equal(await stale.text(), 'v1.0.0\n');
      while ((await (await astera.get(`cached-only/${path}/@v/list`)).text()) === 'v1.0.0\n') await delay(20);
      assert.equal(newer.count(`${path}/@v/list`), 1, 'one request in between');
      assert.equal(await upgraded(astera, path), 'v1.1.0');
    });
  } finally {
    await older.close();
    await newer.close();
  }
});

/** The version that `go get -u` of a project that imports `path` ends with. */
function upgraded(astera: Astera, path: string): Promise<string> {
  return withClient(astera.url, async (client) => {
    await writeFile(
      join(client.project, 'main.go'),
      `package main\n\nimport _ "${path}"\n\nfunc main() {}\n`,
    );
    for (const args of [
      ['get', `${path}@v1.0.0`],
      ['get', '-u', './...'],
    ]) {
      const { code, stderr } = await client.run(...args);
      assert.equal(code, 0, `${stderr}\n${astera.log}`);
    }
    const { mod } = await client.moduleFiles();
    return new RegExp(`${path} (v\\S+)`).exec(mod)?.[1] ?? mod;
  });
}

async function withClient<T>(proxy: string, work: (client: GoClient) => Promise<T>): Promise<T> {
  const client = await GoClient.create(proxy, { build: join(scratch, 'build') });
  try {
    return await work(client);
  } finally {
    await client.dispose();
  }
}

async function outcomeOf(client: GoClient, { what, args }: Command): Promise<Outcome> {
  await client.take('small', what);
  const result = await client.run(...args);
  return { ...result, files: await client.moduleFiles() };
}
