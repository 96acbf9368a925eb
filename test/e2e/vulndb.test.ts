// Goal: govulncheck works through Astera, with a database of any URL, and without a line to it; and `stats --vulns` names
// the stored versions that a report concerns.
// Method: the real govulncheck in a project that imports a made-up module; a database of the test's own, over HTTP and as a
// directory.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Astera, runAstera } from '../support/astera.ts';
import { GoClient } from '../support/go.ts';
import { goTool } from '../support/go-tool.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';
import { databaseFiles, type MadeUpReport, VulnServer } from '../support/vuln-server.ts';

const WEAK = 'example.com/weak';
const SAFE = 'example.com/safe';
const reports: readonly MadeUpReport[] = [
  { id: 'GO-2024-0001', modified: '2024-05-01T00:00:00Z', module: WEAK, fixed: '1.1.0' },
  { id: 'GO-2024-0002', modified: '2024-05-02T00:00:00Z', module: SAFE, fixed: '0.9.0' },
  { id: 'GO-2024-0003', modified: '2024-05-03T00:00:00Z', module: 'stdlib', fixed: '1.1.0' },
];

/** govulncheck's exit code where it found something. */
const FOUND = 3;

test('govulncheck through Astera: online, with a newer report, and offline', async (t) => {
  const database = await VulnServer.start(reports);
  t.after(() => database.stop());
  const { astera, client, check, restart } = await setUp(t, database.url);
  assert.equal((await client.run('get', `${WEAK}@v1.0.0`, `${SAFE}@v1.0.0`)).code, 0);
  const beside = await runAstera(['stats', '--vulns', '--vulndb', database.url, '--db', astera.db]);
  assert.match(beside.stdout, /^example\.com\/weak +v1\.0\.0 +GO-2024-0001 +v1\.1\.0 /m, beside.stderr);
  const first = await check(astera);
  assert.equal(first.code, FOUND, first.stderr);
  assert.match(
    first.stdout,
    /GO-2024-0001[\s\S]*Found in: example\.com\/weak@v1\.0\.0[\s\S]*Fixed in: example\.com\/weak@v1\.1\.0/,
  );
  assert.doesNotMatch(first.stdout, /GO-2024-0002|GO-2024-0003/);

  // Only the report that changed is fetched anew.
  database.files = databaseFiles([
    ...reports.slice(1),
    { id: 'GO-2024-0001', modified: '2024-06-01T00:00:00Z', module: WEAK, fixed: '1.2.0' },
  ]);
  database.asked = [];
  const later = await restart(['--list-ttl', '1ms']);
  const second = await check(later);
  assert.match(second.stdout, /Fixed in: example\.com\/weak@v1\.2\.0/);
  assert.deepEqual(
    new Set(database.asked.filter((path) => path.includes('/ID/'))),
    new Set(['db/ID/GO-2024-0001.json.gz']),
  );

  await database.stop();
  const offline = await restart(['--offline']);
  const third = await check(offline);
  assert.deepEqual([third.code, third.stdout], [second.code, second.stdout]);
  await offline.stop();
  const stats = await runAstera(['stats', '--vulns', '--vulndb', database.url, '--db', offline.db]);
  assert.match(
    stats.stdout,
    /^example\.com\/weak +v1\.0\.0 +GO-2024-0001 +v1\.2\.0 +Trouble in example\.com\/weak$/m,
  );
  assert.match(
    stats.stdout,
    /^1 stored versions are concerned, by 127\.0\.0\.1:\d+\/db, changed 2024-06-01T00:00:00Z$/m,
  );
  const json = await runAstera(['stats', '--vulns', '--json', '--vulndb', database.url, '--db', offline.db]);
  assert.equal(JSON.parse(json.stdout).rows[0].id, 'GO-2024-0001');
});

test('govulncheck with a directory as the database, and a database that lies', async (t) => {
  const directory = tempDir(t);
  for (const [name, text] of databaseFiles(reports)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, `${name}.json`), text);
  }
  const { astera, client, check } = await setUp(t, `file://${directory}`);
  assert.equal((await client.run('get', `${WEAK}@v1.0.0`)).code, 0);
  const found = await check(astera);
  assert.equal(found.code, FOUND, found.stderr);
  assert.match(found.stdout, /GO-2024-0001/);
  writeFileSync(join(directory, 'ID/GO-2024-0002.json'), '<html>pay here</html>');
  const answer = await astera.get('vulndb/ID/GO-2024-0002.json');
  assert.equal(answer.status, 502);
  assert.match(await answer.text(), /^vulnerability database sent no "ID\/GO-2024-0002": it is not JSON\n$/);
});

test('without a database there is none, and a URL that is none is told at the start', async (t) => {
  const { astera } = await setUp(t, 'off');
  assert.equal((await astera.get('vulndb/index/modules.json.gz')).status, 404);
  for (const url of ['ftp://x', 'https://a.example,https://b.example', 'direct']) {
    const exit = await runAstera([
      'serve',
      '--vulndb',
      url,
      '--upstream',
      'off',
      '--db',
      join(tempDir(t), 'a.db'),
    ]);
    assert.equal(exit.code, 2);
    assert.match(exit.stderr, /^astera: bad value for --vulndb: [^\n]+\n/);
  }
});

/** A server with two made-up modules and this database, and a client whose project imports both. */
async function setUp(t: TestContext, vulndb: string) {
  const madeUp = [WEAK, SAFE].map((path) => ({ path, version: 'v1.0.0', contentBytes: 1000 }));
  const upstream = await LocalUpstream.start({ madeUp });
  t.after(() => upstream.close());
  const db = join(tempDir(t), 'a.db');
  const started: Astera[] = [];
  const start = async (flags: readonly string[] = []) => {
    await started.at(-1)?.kill();
    const all = ['--verify', 'off', '--vulndb', vulndb, ...flags];
    const astera = await Astera.start({ upstream: upstream.url, db, flags: all });
    started.push(astera);
    t.after(() => astera.dispose());
    return astera;
  };
  const astera = await start();
  const client = await GoClient.create(astera.url);
  t.after(() => client.dispose());
  writeFileSync(join(client.project, 'main.go'), `package main\n\nimport _ "${WEAK}"\n\nfunc main() {}\n`);
  const govulncheck = await goTool('golang.org/x/vuln/cmd/govulncheck', 'v1.9.0');
  const check = (server: Astera) =>
    client.runProgram(govulncheck, '-db', `${server.url}/vulndb`, '-scan', 'package', './...');
  return { astera, client, check, restart: start };
}
