// Goal: a private pattern alone has a team's modules served out of Git, to clients that are set as README says, and nobody
// else hears of them.
// Method: a host that only an HTTP proxy can reach, with a CA of its own and Basic auth: to a request without a login it
// names the wrong repository, as GitLab does for a project in a subgroup. Three modules that need each other; real go.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { GitHttpServer } from '../git/git-http-server.ts';
import { serveHttp } from '../git/git-world.ts';
import { makeRepository } from '../git/repository-maker.ts';
import { Astera } from '../support/astera.ts';
import { makeCertificate } from '../support/certificate.ts';
import { GoClient } from '../support/go.ts';
import { suiteOwner } from '../support/suite-owner.ts';
import { tempDir } from '../support/temp-dir.ts';
import { tunnelTo } from '../support/tunnel.ts';

const HOST = 'git.corp.example';
const GROUP = `${HOST}/team/tools`;
const LOGIN = `Basic ${Buffer.from('astera:p4ss').toString('base64')}`;
/** A checksum database that nobody can ask. */
const SUMDB = 'sum.golang.org http://127.0.0.1:1';
/** Of files of modules; the scrape counts itself elsewhere. */
const REQUESTS = /^astera_http_requests_total\{route="(?:list|latest|query|info|mod|zip)"/;

const owner = suiteOwner();
const home = tempDir(owner);
let astera: Astera;
let settings: { readonly upstream: string; readonly env: Readonly<Record<string, string>> };
/** Tunnels through the HTTP proxy. */
let asked: string[];
/** Requests at the upstream. */
const upstreamAsked: string[] = [];

before(async () => {
  const root = join(home, 'served');
  const repository = (name: string, ...needs: readonly string[]) => {
    const lines = needs.map((need) => `require ${GROUP}/${need}\n`).join('');
    const imports = needs.map((need) => `import _ "${GROUP}/${need.split(' ')[0]}"\n`).join('');
    const files = {
      'go.mod': `module ${GROUP}/${name}\n\ngo 1.24\n\n${lines}`,
      'p.go': `package p\n${imports}`,
      'deep/down/p.go': 'package p\n',
    };
    const second = { files: { 'p.go': `package p // 2\n${imports}` }, tags: ['v1.1.0'] };
    const third = { files: { x: '' }, branch: 'dev', from: 'main' };
    makeRepository(join(root, `team/tools/${name}.git`), [{ files, tags: ['v1.0.0'] }, second, third]);
  };
  repository('a', 'b v1.0.0', 'c v1.0.0');
  repository('b', 'c v1.0.0');
  repository('c', 'a v1.0.0');
  const tls = makeCertificate(owner, HOST);
  const isAllowed = ({ headers }: IncomingMessage) => headers.authorization === LOGIN;
  const server = await GitHttpServer.start({
    root,
    tls,
    isAllowed,
    pageOf: (request) => {
      const [, team = '', ...rest] = new URL(request.url ?? '/', 'http://x').pathname.split('/');
      const length = isAllowed(request) ? 2 : 1;
      if (rest.length < length) return 'nothing here';
      const repository = [HOST, team, ...rest.slice(0, length)].join('/');
      return `<meta name="go-import" content="${repository} git https://${repository}.git">`;
    },
  });
  owner.after(() => server.stop());
  const tunnel = await tunnelTo(owner, Number(new URL(server.url).port));
  asked = tunnel.asked;
  writeNetrc('p4ss');
  const upstream = await serveHttp(owner, (request, response) => {
    upstreamAsked.push(request.url ?? '');
    response.writeHead(404).end();
  });
  settings = {
    upstream,
    env: {
      GOPRIVATE: HOST,
      ASTERA_GIT: '',
      HOME: home,
      HTTPS_PROXY: tunnel.proxyUrl,
      SSL_CERT_FILE: tls.certPath,
    },
  };
  astera = await Astera.start(settings);
  owner.after(() => astera.dispose());
});

function writeNetrc(password: string): void {
  writeFileSync(join(home, '.netrc'), `machine ${HOST} login astera password ${password}\n`, { mode: 0o600 });
}

const clients: { env: Readonly<Record<string, string>>; why: string }[] = [
  { env: { GONOSUMDB: HOST }, why: 'GOPRIVATE is empty' },
  { env: { GOPRIVATE: HOST, GONOPROXY: 'none' }, why: 'GONOPROXY is none' },
];

for (const { env, why } of clients) {
  test(`go mod tidy and go get -u of three private modules that need each other: ${why}`, async (t) => {
    const go = await GoClient.create(astera.url, { sumdb: SUMDB, env });
    t.after(() => go.dispose());
    const main = join(go.project, 'x.go');
    writeFileSync(main, `package x\nimport _ "${GROUP}/a"\nimport _ "${GROUP}/b/deep/down"\n`);
    writeFileSync(
      join(go.project, 'go.mod'),
      `module example.com/x\n\ngo 1.24\n\nrequire ${GROUP}/a v1.0.0\n`,
    );
    const tidy = await go.run('mod', 'tidy');
    assert.equal(tidy.code, 0, tidy.stderr);
    const { mod } = await go.moduleFiles();
    for (const line of [`${GROUP}/a v1.0.0`, `${GROUP}/b v1.0.0`, `${GROUP}/c v1.0.0 // indirect`])
      assert.ok(mod.includes(line), mod);
    const update = await go.run('get', '-u', './...');
    assert.equal(update.code, 0, update.stderr);
    assert.match((await go.moduleFiles()).mod, /tools\/c v1\.1\.0/);
    const branch = await go.run('get', `${GROUP}/c@dev`);
    assert.match(branch.stderr, /tools\/c v1\.1\.0 => v1\.1\.1-0\.\d{14}-[0-9a-f]{12}/);
  });
}

test('with GOPRIVATE alone the go command goes past every proxy', async (t) => {
  // It must not leave this machine.
  const env = { GOPRIVATE: HOST, HTTPS_PROXY: 'http://127.0.0.1:1' };
  const go = await GoClient.create(astera.url, { sumdb: SUMDB, env });
  t.after(() => go.dispose());
  const requests = async () => {
    const metrics = await astera.metrics();
    return [...metrics].filter(([name]) => REQUESTS.test(name));
  };
  const before = await requests();
  assert.ok(before.length > 0);
  const got = await go.run('get', `${GROUP}/a@v1.0.0`);
  assert.equal(got.code, 1);
  assert.match(got.stderr, /127\.0\.0\.1:1/);
  assert.deepEqual(await requests(), before);
});

test('a login that was refused and mended counts at once after SIGHUP', async () => {
  const ask = async () => {
    const answer = await astera.get(`${GROUP}/b/@v/dev.info`);
    return { status: answer.status, text: await answer.text() };
  };
  writeNetrc('wr0ng');
  const refusal = await ask();
  assert.equal(refusal.status, 403);
  assert.match(
    refusal.text,
    /^cannot read repository https:\/\/git\.corp\.example\/team\/tools\/b\.git: .*~\/\.netrc/,
  );
  writeNetrc('p4ss');
  assert.match((await ask()).text, /not asked again for \d+ s, or until SIGHUP/);
  process.kill(astera.pid, 'SIGHUP');
  while (!astera.log.includes('SIGHUP: read again: the logins of Git'))
    await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await ask()).status, 200);
});

test('no other host was asked, no cache may keep an answer, and no login is shown', async () => {
  const answer = await astera.get(`${GROUP}/a/@v/v1.0.0.info`);
  assert.equal(answer.headers.get('cache-control'), 'private, no-store');
  const info = await answer.text();
  assert.equal(JSON.parse(info).Origin.URL, `https://${GROUP}/a.git`);
  const texts = [info];
  const paths = [
    'a/@v/v9.0.0.info',
    'a/@latest',
    'a/@v/nobranch.mod',
    'none/@v/list',
    'a/x/y/@v/list',
    '@v/list',
  ];
  for (const path of paths) {
    for (const prefix of ['', 'mod/', 'cached-only/']) {
      await astera.get(`${prefix}${GROUP}/${path}`, { method: 'HEAD' });
      texts.push(await (await astera.get(`${prefix}${GROUP}/${path}`)).text());
    }
  }
  await astera.get(`sumdb/sum.golang.org/lookup/${GROUP}/a@v1.0.0`);
  assert.deepEqual(upstreamAsked, []);
  assert.deepEqual(new Set(asked), new Set([`${HOST}:443`]));
  assert.doesNotMatch(`${texts.join()}${astera.log}`, /p4ss|wr0ng|astera:|authorization/i);
});

test('a client that may not read private modules has nothing asked of any host', async (t) => {
  const other = await Astera.start({ ...settings, flags: ['--private-allow', 'none'] });
  t.after(() => other.dispose());
  asked.length = 0;
  for (const path of ['a/@v/list', 'a/@v/v1.0.0.zip', '@latest'])
    assert.equal((await other.get(`${GROUP}/${path}`)).status, 403);
  assert.deepEqual(asked, []);
  assert.deepEqual(upstreamAsked, []);
});
