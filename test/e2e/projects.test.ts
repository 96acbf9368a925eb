// Goal: what Go developers do with real projects works through Astera, cold and warm, and ends as it
// would without Astera.
// Method: each command runs in the real `go` with empty client caches, against a server with an empty
// store, then again; go.mod, go.sum and output must equal those of `go` asking the local upstream itself.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Astera } from '../support/astera.ts';
import { ensureCorpus, PROJECTS, type Project } from '../support/corpus.ts';
import { GoClient, type GoResult, type ModuleFiles } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';

type Command = { readonly what: 'whole' | 'imports'; readonly args: readonly string[]; readonly why: string };

const commands: readonly Command[] = [
  { what: 'whole', args: ['mod', 'tidy'], why: 'a full go.mod: asks for .mod and .zip only' },
  {
    what: 'imports',
    args: ['mod', 'tidy'],
    why: 'from import lines: lists, @latest, a 404 for each path prefix',
  },
  { what: 'whole', args: ['get', '-u', './...'], why: 'lists of everything' },
  { what: 'whole', args: ['mod', 'download'], why: '.info too' },
  { what: 'whole', args: ['list', '-m', '-versions', 'github.com/google/uuid'], why: 'one list' },
  { what: 'whole', args: ['get', 'github.com/spf13/viper@master'], why: 'a branch' },
];

/** Takes nothing from its project, so one of them is enough. */
const install: Command = {
  what: 'imports',
  args: ['install', 'github.com/BurntSushi/toml/cmd/tomlv@latest'],
  why: 'a tool; capitals',
};

/** Longer than a run takes, so that whatever is asked twice is asked for nothing. */
const KEPT = ['--list-ttl', '1h', '--negative-ttl', '1h'];

let upstream: LocalUpstream;
/** Shared, because compiling the standard library anew takes longer than the tests of it. */
let build: string;

before(async () => {
  build = await mkdtemp(join(tmpdir(), 'astera-build-'));
  upstream = await LocalUpstream.start({ root: await ensureCorpus(), branches: ['master'] });
});

after(async () => {
  await upstream.close();
  await rm(build, { recursive: true, force: true });
});

for (const project of PROJECTS) {
  describe(`project ${project}`, () => {
    let direct: GoClient;
    before(async () => {
      direct = await GoClient.create(upstream.url, { build });
    });
    after(() => direct.dispose());

    for (const command of project === 'small' ? [...commands, install] : commands) {
      const name = `go ${command.args.join(' ')}${command.what === 'imports' ? ' from imports' : ''}`;
      test(`${name}: ${command.why}`, async () => {
        const wanted = await outcome(direct, project, command);
        assert.equal(wanted.code, 0, wanted.stderr);
        upstream.resetCounters();
        const astera = await Astera.start({ upstream: upstream.url, flags: KEPT });
        const client = await GoClient.create(astera.url, { build });
        try {
          for (const state of ['cold', 'warm']) {
            const got = await outcome(client, project, command);
            assert.equal(got.code, 0, `${state}: ${got.stderr}\n${astera.log}`);
            assert.equal(got.stdout, wanted.stdout, state);
            assert.deepEqual(got.files, wanted.files, state);
            await client.emptyModuleCache();
          }
          const repeated = Object.entries(upstream.counters.requests).filter(([, times]) => times > 1);
          assert.deepEqual(repeated, [], 'the upstream is asked once for each path');
          await astera.stop();
        } finally {
          await client.dispose();
          await astera.dispose();
        }
      });
    }
  });
}

/** What a command says and leaves behind. */
async function outcome(
  client: GoClient,
  project: Project,
  { what, args }: Command,
): Promise<GoResult & { files: ModuleFiles }> {
  await client.take(project, what);
  const result = await client.run(...args);
  return { ...result, files: await client.moduleFiles() };
}
