// Goal: for the repositories that Go ships for its own tests, all answers are those of the go command in direct mode: of
// each tag, branch and some commits. What is in no Git repository says so.
// Method: Go's own server on loopback, compiled and started here. For the go command an HTTP proxy and a certificate make
// it vcs-test.golang.org, so that both find repositories by its go-import tags.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import type { PageGet } from '../../src/core/ports.ts';
import { createUpstream } from '../../src/upstream/proxy-list.ts';
import { ComparisonWithGo, type Query } from '../git/compare.ts';
import { type GitRigOptions, gitRig } from '../git/git-rig.ts';
import { GoDirect, writeInsteadOf } from '../git/go-direct.ts';
import { makeCertificate } from '../support/certificate.ts';
import { suiteOwner } from '../support/suite-owner.ts';
import { tempDir } from '../support/temp-dir.ts';
import { tunnelTo } from '../support/tunnel.ts';

const HOST = 'vcs-test.golang.org';
const goroot = execFileSync('go', ['env', 'GOROOT']).toString().trim();
const repositories = readdirSync(join(goroot, 'src/cmd/go/testdata/vcstest/git')).map((name) =>
  name.replace(/\.txt$/, ''),
);

/** Modules that only the host's pages lead to. */
const found: readonly { path: string; queries: readonly string[] }[] = [
  { path: 'go/gitreposubdir', queries: ['latest', 'v1.2.3', 'master'] },
  { path: 'go/gitreposubdirv2/v2', queries: ['latest', 'v2.0.0', 'master'] },
  { path: 'go/v2module/v2', queries: ['latest', 'v2.0.0', 'master'] },
  { path: 'go/mod/gitrepo1', queries: ['latest', 'v1.2.3', 'v2.0.1+incompatible', 'v3.0.0'] },
  { path: 'go/mod/gitrepo-sha256', queries: ['latest', 'v1.2.3', 'main'] },
  { path: 'go/missingrepo/missingrepo-git', queries: ['latest', 'main'] },
  { path: 'go/missingrepo/missingrepo-git/notmissing', queries: ['latest', 'main'] },
  { path: 'go/nosuchpage', queries: ['latest', 'main'] },
  { path: 'go/modauth404', queries: ['latest', 'v0.0.0-20190405155004-2234c475880e'] },
  { path: 'auth/or401', queries: ['latest', 'v0.0.0-20190405155051-52df474c8a8b'] },
  { path: 'auth/or404', queries: ['latest', 'v0.0.0-20190405155004-2234c475880e'] },
];

/** Modules of gopkg.in, whose major version stands behind a dot; each is in the repository that is named like it. */
const dotted: readonly { path: string; queries: readonly string[] }[] = [
  { path: 'gitrepo1.v1', queries: ['latest', 'v1.2.3', 'v1.2.4-annotated', 'master', 'v2.0.1', '9d02800'] },
  { path: 'gitrepo1.v2', queries: ['latest', 'v2.0.1', 'v2.0.2', 'master', 'v1.2.3', 'v2.0.1+incompatible'] },
  { path: 'gitrepo1.v3', queries: ['latest', 'a8205f8', 'v3.0.0'] },
  { path: 'gitrepo1.v2-unstable', queries: ['latest', 'v2.0.1', 'master'] },
  { path: 'vgotest1.v0', queries: ['latest', 'v0.0.0', 'v0.0.1', 'v1.0.0', 'master'] },
  { path: 'querytest.v2', queries: ['latest', 'v2.0.0', 'v2.2.0'] },
];

/** Neither has these: Astera reads Git only. */
const others = [
  'hg/hello.hg',
  'svn/hello.svn/sub',
  'bzr/hello.bzr',
  'fossil/hello.fossil',
  'go/custom-hg-hello',
  'go/test1-svn-git/aaa',
];

const owner = suiteOwner();
const home = tempDir(owner);
let rig: ReturnType<typeof gitRig>;
let comparison: ComparisonWithGo;
const modulesOf = new Map<string, string[]>();

before(async () => {
  const url = await startVcweb();
  writeInsteadOf(home, { [`https://${HOST}/`]: `${url}/` });
  rig = gitRig({ home, ...reaching(url) });
  const asked = new Map<string, readonly Query[]>();
  const add = (module: string, queries: readonly string[]) => {
    asked.set(
      module,
      queries.map((query) => ({ query, name: query })),
    );
  };
  for (const name of repositories) {
    const { tags, revisions } = await refsOf(`${url}/git/${name}`);
    const modules = [...modulesIn(tags, revisions)];
    modulesOf.set(
      name,
      modules.map(([below, queries]) => {
        const module = `${HOST}/git/${name}.git${below}`;
        add(module, queries);
        return module;
      }),
    );
  }
  for (const { path, queries } of found) add(`${HOST}/${path}`, queries);
  for (const { path, queries } of dotted) add(`gopkg.in/${path}`, queries);
  comparison = await ComparisonWithGo.ask({ go: await goDirect(url), rig, asked });
});

for (const name of repositories) {
  test(`as the go command: ${name}`, async (t) => {
    for (const module of modulesOf.get(name) ?? []) await comparison.module(t, module);
  });
}

test('as the go command: repositories and proxies that pages name', async (t) => {
  for (const { path } of found) await comparison.module(t, `${HOST}/${path}`);
});

test('as the go command: gopkg.in', async (t) => {
  for (const { path } of dotted) await comparison.module(t, `gopkg.in/${path}`);
});

for (const path of others) {
  test(`no Git repository: ${path}`, async () => {
    await assert.rejects(
      rig.text(`${HOST}/${path}/@latest`),
      /is an? "?(?:hg|svn|bzr|fossil)"? repository: Astera reads Git only/,
    );
  });
}

test('most of what is compared has an answer', () => {
  assert.ok(repositories.length >= 27);
  const { answers, errors } = comparison.counts;
  assert.ok(answers > 200 && errors > 20, `${answers} answers, ${errors} errors`);
});

/** Go's server; its URL. */
async function startVcweb(): Promise<string> {
  // Without a package's name, go passes the server's words on as they come.
  const args = ['test', '-args', '-host=127.0.0.1', '-port=0'];
  const cwd = join(goroot, 'src/cmd/go/internal/vcweb/vcstest');
  const server = spawn('go', args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  owner.after(() => server.pid !== undefined && process.kill(-server.pid, 'SIGKILL'));
  server.stderr.resume();
  const url = await new Promise<string>((resolve) => {
    // Read to the end: a closed pipe would end the server.
    const lines = createInterface({ input: server.stdout });
    lines.on('line', (line) => {
      const port = /serving on http:\/\/127\.0\.0\.1:(\d+)\//.exec(line)?.[1];
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
    });
    lines.on('close', () => resolve(''));
  });
  assert.notEqual(url, '', "Go's server did not start");
  return url;
}

/** Pages and proxies of the host, at Go's server. */
function reaching(url: string): Pick<GitRigOptions, 'get' | 'openProxy'> {
  const here = (asked: string) => asked.replace(`https://${HOST}`, url);
  const get: PageGet = async ({ url: asked }) => {
    const page = dottedPage(new URL(asked).host, new URL(asked).pathname);
    if (page !== undefined) return { status: 200, body: Buffer.from(page) };
    const answer = await fetch(here(asked), { redirect: 'manual' });
    const location = answer.headers.get('location') ?? undefined;
    return { status: answer.status, location, body: new Uint8Array(await answer.arrayBuffer()) };
  };
  const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
  const openProxy = (origin: string) => {
    const upstream = createUpstream({ list: here(origin), instance: 'test', version: '0', clock });
    owner.after(() => upstream.close());
    return upstream;
  };
  return { get, openProxy };
}

/** As gopkg.in answers. */
function dottedPage(host: string, path: string): string | undefined {
  if (host !== 'gopkg.in') return undefined;
  const repository = /^\/(\w+)\.v\d+(?:-unstable)?$/.exec(path)?.[1];
  if (repository === undefined) return 'nothing here';
  return `<meta name="go-import" content="gopkg.in${path} git https://${HOST}/git/${repository}">`;
}

/** The go command, for which Go's server is the host. */
async function goDirect(url: string): Promise<GoDirect> {
  const { certPath, keyPath } = makeCertificate(owner, HOST, 'gopkg.in');
  const secrets = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  const front = createServer(secrets, (request, response) => {
    const page = dottedPage(request.headers.host ?? '', (request.url ?? '').replace(/\?.*/, ''));
    if (page !== undefined) {
      response.end(page);
      return;
    }
    const behind = httpRequest(`${url}${request.url}`, { method: request.method }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    request.pipe(behind);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  owner.after(() => {
    front.closeAllConnections();
    front.close();
  });
  const { proxyUrl } = await tunnelTo(owner, (front.address() as AddressInfo).port);
  return new GoDirect(home, { HTTPS_PROXY: proxyUrl, SSL_CERT_FILE: certPath });
}

const SHORT = /^v\d+(?:\.\d+)?$/;

/** The tags, and the branches and commits that a query can name. */
async function refsOf(repository: string): Promise<{ tags: string[]; revisions: string[] }> {
  const listed = await lsRemote(repository);
  const lines = listed.split('\n').filter((line) => line !== '' && !line.endsWith('^{}'));
  const refs = lines.map((line) => line.split('\t'));
  const named = (prefix: string) =>
    refs.flatMap(([, ref = '']) => (ref.startsWith(prefix) ? [ref.slice(prefix.length)] : []));
  const hashes = [...new Set(refs.map(([hash = '']) => hash))].slice(0, 3);
  // A short version is for the go command to look up in the list.
  const branches = named('refs/heads/').filter((branch) => !branch.includes('/') && !SHORT.test(branch));
  return {
    tags: named('refs/tags/'),
    revisions: [...branches, ...hashes, hashes[0]?.slice(0, 9) ?? 'HEAD', 'latest'],
  };
}

/** Not a call that blocks: Go's server waits for its log to be read. */
async function lsRemote(repository: string): Promise<string> {
  const listed = await promisify(execFile)('git', ['ls-remote', '-q', repository]).catch(() => undefined);
  return listed?.stdout ?? ''; // One of them is not there on purpose.
}

/** The modules that the tags speak of, and what is asked of each. */
function modulesIn(tags: readonly string[], revisions: readonly string[]): Map<string, string[]> {
  const modules = new Map<string, string[]>([['', [...revisions]]]);
  for (const tag of tags) {
    const slash = tag.lastIndexOf('/');
    const [below, version] = [slash < 0 ? '' : `/${tag.slice(0, slash)}`, tag.slice(slash + 1)];
    const major = /^v([2-9])\./.exec(version)?.[1];
    const places = major === undefined ? [below] : [below, `${below}/v${major}`];
    if (SHORT.test(version) || /[^\w.+-]/.test(version)) continue;
    for (const place of places) modules.set(place, [...(modules.get(place) ?? revisions), version]);
  }
  return modules;
}
