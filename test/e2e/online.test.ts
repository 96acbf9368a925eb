// Goal: with the real checksum database, by the real upstream, a project is tidied as by x/mod's: cold, warm,
// and offline by fresh clients, in another order, and by one whose head is an earlier one.
// Method: only where ASTERA_ONLINE_TESTS=1 says that there is a line: some 200 requests to what
// `go env GOPROXY` names here. GOSUMDB is at its default, every client's caches are empty.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera, total } from '../support/astera.ts';
import { projectDirectory } from '../support/corpus.ts';
import { GoClient } from '../support/go.ts';

const DATABASE = 'sum.golang.org';

/** How long the real tree is waited for to grow: it gets a new head every few minutes, and proxies hold it for some time. */
const GROWTH_MS = 180_000;

const skip =
  process.env.ASTERA_ONLINE_TESTS === '1'
    ? false
    : 'asks the real checksum database: set ASTERA_ONLINE_TESTS=1';

test('a real project against sum.golang.org', { skip }, async (t) => {
  const upstream = execFileSync('go', ['env', 'GOPROXY'], { encoding: 'utf8' }).trim();
  const astera = await Astera.start({ upstream, flags: ['--sumdb', DATABASE], env: lineVariables() });
  t.after(() => astera.dispose());
  const wanted = await readFile(join(projectDirectory('small'), 'go.sum'), 'utf8');
  const client = async (url = astera.url) => {
    const made = await GoClient.create(url, { sumdb: DATABASE });
    t.after(() => made.dispose());
    return made;
  };
  const sizeOf = (note: string) => Number(note.split('\n')[1]);
  const headOf = async (who: GoClient) =>
    sizeOf(await readFile(join(who.directory, 'path/pkg/sumdb', DATABASE, 'latest'), 'utf8'));
  const tidies = async (who: GoClient, state: string) => {
    await who.take('small', 'whole');
    await writeFile(join(who.project, 'go.sum'), '');
    const { code, stderr } = await who.run('mod', 'tidy');
    assert.equal(code, 0, `${state}: ${stderr}`);
    assert.equal((await who.moduleFiles()).sum, wanted, state);
  };
  const requests = async () => total(await astera.metrics(), 'astera_upstream_requests_total');

  const early = await client();
  const { code, stderr } = await early.run('mod', 'download', 'github.com/google/uuid@v1.6.0');
  assert.equal(code, 0, stderr);
  const earlyHead = await headOf(early);
  await tidies(await client(), 'cold');
  const cold = await requests();
  await tidies(await client(), 'warm');
  t.diagnostic(`requests to the upstream: ${cold} cold, ${(await requests()) - cold} more warm`);

  let newest = earlyHead;
  for (const untilMs = performance.now() + GROWTH_MS; newest === earlyHead && performance.now() < untilMs; ) {
    newest = sizeOf(await (await astera.get(`sumdb/${DATABASE}/latest`)).text());
    if (newest === earlyHead) await delay(6_000);
  }
  t.diagnostic(`heads: ${earlyHead} of the early client, ${newest} the newest`);
  assert.equal((await astera.metrics()).get('astera_sumdb_security_events_total'), 0);
  assert.equal((await astera.metrics()).get('astera_unconfirmed'), 0);
  await astera.stop();

  const offline = await Astera.start({
    upstream: 'off',
    db: astera.db,
    flags: ['--sumdb', DATABASE, '--offline'],
  });
  t.after(() => offline.dispose());
  const fresh = await client(offline.url);
  await tidies(fresh, 'offline');
  assert.equal(await headOf(fresh), newest);
  const backwards = await client(offline.url);
  for (const line of wanted.trim().split('\n').toReversed()) {
    const [module = '', version = ''] = line.split(' ');
    if (version.endsWith('/go.mod')) continue;
    const result = await backwards.run('mod', 'download', `${module}@${version}`);
    // A tidy needs a version's .info never, a download always.
    assert.ok(result.code === 0 || /\.info: /.test(result.stderr), result.stderr);
  }
  await tidies(backwards, 'offline, backwards');
  const late = await client(offline.url);
  await cp(join(early.directory, 'path'), join(late.directory, 'path'), { recursive: true });
  await tidies(late, 'offline, with an earlier head');
  assert.equal(await headOf(late), newest, 'it went on from its own');
});

/** How this machine reaches the outside; the test servers see nothing else of its environment. */
function lineVariables(): Record<string, string> {
  const names = ['NODE_EXTRA_CA_CERTS', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
