// Goal: a module path leads to the repository that the go command would find, and to nothing that a hostile path, page or
// setting could make of it. No host outside the private patterns is asked.
// Method: tables; pages and probes are functions that note what they were asked.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BadRequest, Forbidden, NotFound, UpstreamDown } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import type { PageAnswer } from '../../src/core/ports.ts';
import { Discovery } from '../../src/git/discovery.ts';
import { GitCommand } from '../../src/git/git-command.ts';
import { GitCredentials } from '../../src/git/git-credentials.ts';
import { matchGoImport, parseGoImports } from '../../src/git/go-import-tags.ts';
import { knownRepository } from '../../src/git/known-hosts.ts';
import { LoginPauses, LoginRefused } from '../../src/git/login-pauses.ts';
import { parsePathMappings } from '../../src/git/path-mapping.ts';
import { RepositoryFinder } from '../../src/git/repository-finder.ts';
import { checkRepositoryUrl } from '../../src/git/repository-url.ts';
import { tempDir } from '../support/temp-dir.ts';

const hostileUrls = [
  'ext::sh -c touch',
  'ext::sh',
  '--upload-pack=touch',
  '-oProxyCommand=touch',
  'ssh://-oProxyCommand=touch/x',
  'ssh://-oProxyCommand@host/x',
  'ssh://git@-host/x',
  'ssh://git@host:22a/x',
  'file:///etc',
  '/etc/passwd',
  'host:path',
  'git@host:path',
  'https://me:secret@host/x',
  'https://token@host/x',
  'https://host/x\nHost: y',
  'https://host/x\0',
  'https:///x',
  'http://host/x',
  'git://host/x',
  'fd::3',
  'https://host/`touch`',
  'HTTPS://host/x',
  `https://host/${'x'.repeat(3000)}`,
];

test('a hostile or careless repository URL is refused, and no secret is shown', () => {
  for (const url of hostileUrls) {
    assert.throws(
      () => checkRepositoryUrl(url, 'secure'),
      (error) => error instanceof BadRequest && !/secret|token@|\n/.test(error.message),
      url,
    );
  }
  for (const url of ['https://host/x', 'ssh://git@host:22/x', 'git+ssh://host/x', 'https://[::1]:80/x'])
    checkRepositoryUrl(url, 'secure');
  checkRepositoryUrl('http://host/x', 'insecure');
  checkRepositoryUrl('file:///srv/git/x', 'own');
});

const mapped: {
  path: string;
  mappings: string;
  repositories: string[];
  found?: string;
  probed?: string[];
  why: string;
}[] = [
  {
    path: 'git.corp.example/team/lib/pkg',
    mappings: 'git.corp.example/*=ssh://git@git.corp.example/*',
    repositories: ['ssh://git@git.corp.example/team/lib'],
    found: 'git.corp.example/team/lib',
    probed: ['ssh://git@git.corp.example/team', 'ssh://git@git.corp.example/team/lib'],
    why: 'the shortest that is a repository',
  },
  {
    path: 'git.corp.example/a/b/c/d',
    mappings: 'git.corp.example/*=https://git.corp.example/*.git',
    repositories: ['https://git.corp.example/a/b/c.git'],
    found: 'git.corp.example/a/b/c',
    why: 'a subgroup',
  },
  {
    path: 'go.corp.example/tools/cmd',
    mappings:
      'go.corp.example/tools=https://git.corp.example/scm/tools.git, go.corp.example/*/*=ssh://h/*/x/*',
    repositories: ['https://git.corp.example/scm/tools.git'],
    found: 'go.corp.example/tools',
    why: 'no star',
  },
  {
    path: 'go.corp.example/a/b',
    mappings: 'go.corp.example/*/*=ssh://h/*/x/*',
    repositories: ['ssh://h/a/x/b'],
    found: 'go.corp.example/a/b',
    why: 'two stars',
  },
  {
    path: 'git.corp.example',
    mappings: 'git.corp.example/*=ssh://git@git.corp.example/*',
    repositories: [],
    probed: [],
    why: 'a prefix above all repositories costs nothing',
  },
  {
    path: 'git.corp.example/team',
    mappings: 'git.corp.example/*=ssh://git@git.corp.example/*',
    repositories: ['ssh://git@git.corp.example/team/lib'],
    probed: ['ssh://git@git.corp.example/team'],
    why: 'a group is no repository',
  },
];

for (const { path, mappings, repositories, found, probed, why } of mapped) {
  test(`--git: ${why}`, async () => {
    const { finder, asked } = rig({ mappings, repositories });
    if (found === undefined) await assert.rejects(finder.find(parseModulePath(path)), NotFound);
    else {
      const place = await finder.find(parseModulePath(path));
      assert.deepEqual(place, { vcs: 'git', root: found, url: repositories[0], directory: '' });
    }
    if (probed !== undefined) assert.deepEqual(asked, probed);
  });
}

test('all prefixes of a package ask each repository once, and a known root ends the asking', async () => {
  const mappings = 'git.corp.example/*=ssh://git.corp.example/*';
  const { finder, asked } = rig({ mappings, repositories: ['ssh://git.corp.example/team/lib'] });
  await finder.find(parseModulePath('git.corp.example/team/lib'));
  asked.length = 0;
  const place = await finder.find(parseModulePath('git.corp.example/team/lib/a/b/c'));
  assert.equal(place.root, 'git.corp.example/team/lib');
  assert.deepEqual(asked, []);
});

test('all prefixes of a package at once are one question for each URL', async () => {
  const mappings = 'git.corp.example/*=ssh://git.corp.example/*';
  const { finder, asked } = rig({ mappings, repositories: ['ssh://git.corp.example/team/lib'] });
  const prefixes = ['', '/team', '/team/lib', '/team/lib/a', '/team/lib/a/b', '/team/lib/a/b/c'];
  const all = prefixes.map((prefix) => finder.find(parseModulePath(`git.corp.example${prefix}`)));
  const found = (await Promise.allSettled(all)).map(({ status }) => status === 'fulfilled');
  assert.deepEqual(found, [false, false, true, true, true, true]);
  assert.deepEqual(asked, ['ssh://git.corp.example/team', 'ssh://git.corp.example/team/lib']);
});

test('all prefixes of a package at once ask for each page once', async () => {
  const page = tag('go.corp.example/a/b git https://h/b');
  const paths = ['', '/a', '/a/b', '/a/b/c', '/a/b/c/d'].map((path) => `go.corp.example${path}`);
  const pages = Object.fromEntries(
    paths.map((path) => [
      `https://${path.includes('/') ? path : `${path}/`}?go-get=1`,
      path.includes('/b') ? page : '',
    ]),
  );
  const { finder, asked } = rig({ pages });
  const found = await Promise.allSettled(paths.map((path) => finder.find(parseModulePath(path))));
  assert.deepEqual(
    found.map(({ status }) => status === 'fulfilled'),
    [false, false, true, true, true],
  );
  assert.deepEqual(asked.toSorted(), Object.keys(pages).toSorted());
});

test('where there is no login to be refused, the next path may be public', async () => {
  const mappings = 'git.corp.example/*=https://git.corp.example/*';
  const failure = new LoginRefused('no login', { isAnonymous: true });
  const { finder } = rig({ mappings, repositories: ['https://git.corp.example/team/lib'], failure });
  assert.equal(
    (await finder.find(parseModulePath('git.corp.example/team/lib/a'))).root,
    'git.corp.example/team/lib',
  );
  await assert.rejects(finder.find(parseModulePath('git.corp.example/other/lib')), LoginRefused);
});

test('a server that refuses is not asked under another path: it may lock the account', async () => {
  const mappings = 'git.corp.example/*=ssh://git.corp.example/*';
  const { finder, asked } = rig({ mappings, repositories: [], failure: new Forbidden('wrong key') });
  await assert.rejects(finder.find(parseModulePath('git.corp.example/a/b/c')), Forbidden);
  assert.equal(asked.length, 1);
});

test('a failure that may pass is not kept, an answer is', async () => {
  const mappings = 'git.corp.example/*=ssh://git.corp.example/*';
  const { finder, asked } = rig({ mappings, repositories: [], failure: new UpstreamDown('down') });
  await assert.rejects(finder.find(parseModulePath('git.corp.example/a')), UpstreamDown);
  await assert.rejects(finder.find(parseModulePath('git.corp.example/a')), UpstreamDown);
  assert.equal(asked.length, 2);
});

const badMappings = [
  'git.corp.example/*',
  'git.corp.example/*=ext::sh -c *',
  'git.corp.example/*=/srv/*',
  'git.corp.example/*=https://me:secret@h/*',
  'git.corp.example/x*=https://h/*',
  'git.corp.example/*/*=https://h/*',
  'git.corp.example/../x=https://h/x',
  '-x=https://h/x',
  'git.corp.example/x=https://h/x\ny',
];

test('a mapping that can map nothing is refused', () => {
  for (const text of badMappings)
    assert.throws(
      () => parsePathMappings(text),
      (error) => error instanceof BadRequest && (text.includes('x*') || !error.message.includes('secret')),
      text,
    );
  assert.deepEqual(parsePathMappings(''), []);
});

// Rows of TestRepoRootForImportPath in cmd/go/internal/vcs/vcs_test.go, without those of other systems.
const known: { path: string; root?: string; urls?: string[]; isError?: true }[] = [
  { path: 'github.com/golang/groupcache', root: 'github.com/golang/groupcache' },
  { path: 'github.com/golang/groupcache/lru/x', root: 'github.com/golang/groupcache' },
  { path: 'github.com/user', isError: true },
  { path: 'github.com', isError: true },
  { path: 'github.com/user/repo.git', isError: true },
  { path: 'bitbucket.org/a/b/c', root: 'bitbucket.org/a/b' },
  { path: 'hub.jazz.net/git/user1/pkgname/submodule/submodule', root: 'hub.jazz.net/git/user1/pkgname' },
  { path: 'hub.jazz.net/git/User-1/pkgname', isError: true },
  { path: 'hub.jazz.net/gitx/user1/pkgname' },
  { path: 'git.apache.org/package-name.git/path/to/lib', root: 'git.apache.org/package-name.git' },
  { path: 'git.apache.org/package-name_2.x', isError: true },
  { path: 'git.openstack.org/openstack/swift.git', root: 'git.openstack.org/openstack/swift.git' },
  { path: 'git.openstack.org/openstack/swift/go', root: 'git.openstack.org/openstack/swift' },
  {
    path: 'host.example/x/y.git/z',
    root: 'host.example/x/y.git',
    urls: ['https://host.example/x/y', 'git+ssh://host.example/x/y', 'ssh://host.example/x/y'],
  },
  { path: 'host.example/x/y.hg', isError: true },
  { path: 'host.example/x/y.svn/z', isError: true },
  { path: 'host.example/x/y' },
  { path: 'gopkg.in/yaml.v3' },
];

test('paths that name their repository themselves', () => {
  for (const { path, root, urls, isError } of known) {
    const module = parseModulePath(path);
    if (isError) assert.throws(() => knownRepository(module, { isInsecure: false }), NotFound, path);
    else {
      const found = knownRepository(module, { isInsecure: false });
      assert.equal(found?.root, root, path);
      if (root !== undefined) assert.deepEqual(found?.urls, urls ?? [`https://${root}`]);
    }
  }
});

// Rows of parseMetaGoImportsTests in cmd/go/internal/vcs/discovery_test.go.
const pages: { page: string; tags: string[] }[] = [
  {
    page: '<meta name="go-import" content="foo/bar git https://github.com/rsc/foo/bar">',
    tags: ['foo/bar git https://github.com/rsc/foo/bar '],
  },
  {
    page: `<meta name="go-import" content="foo/bar git u"><meta name="go-import" content="baz/quux git v">`,
    tags: ['foo/bar git u ', 'baz/quux git v '],
  },
  {
    page: '<meta name="go-import" content="foo/bar git u"><meta name="go-import" content="foo/bar mod w">',
    tags: ['foo/bar mod w '],
  },
  {
    page: '<meta name="go-import" content="foo/bar mod w"><meta name="go-import" content="foo/bar git u">',
    tags: ['foo/bar mod w '],
  },
  { page: '<head><meta name="go-import" content="foo/bar git u"></head>', tags: ['foo/bar git u '] },
  { page: '<meta name="go-import" content="foo/bar git u"><body>', tags: ['foo/bar git u '] },
  { page: '<!doctype html><meta name="go-import" content="foo/bar git u">', tags: ['foo/bar git u '] },
  {
    page: '<meta name=go-import content="chitin.io/chitin git u"><script src="x">',
    tags: ['chitin.io/chitin git u '],
  },
  { page: '<META NAME="go-import" CONTENT="a git u&amp;v">', tags: ['a git u&v '] },
  { page: `<meta name='go-import' content='a git u dir/x'>`, tags: ['a git u dir/x'] },
  { page: '<body><meta name="go-import" content="a git u">', tags: [] },
  { page: '<!-- <meta name="go-import" content="a git u"> -->', tags: [] },
  { page: '<meta name="go-import" content="a git">', tags: [] },
  { page: '<meta name="go-import" content="a git u d e">', tags: [] },
  { page: '<meta name="go-import" content="a git u', tags: [] },
  { page: `<meta title='<meta name="go-import" content="evil git u">'>`, tags: [] },
];

for (const { page, tags } of pages) {
  test(`tags of ${page.slice(0, 60)}`, () => {
    const read = parseGoImports(page).map((one) => `${one.prefix} ${one.vcs} ${one.root} ${one.directory}`);
    assert.deepEqual(read, tags);
  });
}

test('a page made to be slow is read in linear time', { timeout: 20_000 }, () => {
  for (const piece of ['<a "', "<a '", '<', '<!--', '<meta name=', '&#x'])
    assert.deepEqual(parseGoImports(piece.repeat(2 ** 20 / piece.length)), []);
});

test('the longest of several tags is no answer: two that match are an error', () => {
  const tags = (...list: string[]) =>
    parseGoImports(list.map((c) => `<meta name="go-import" content="${c}">`).join(''));
  assert.equal(matchGoImport(tags('a/b git u', 'a git v'), 'a/b/c'), 'several');
  assert.equal(matchGoImport(tags('a/b git u', 'x git v'), 'a/bc'), undefined);
  const mod = matchGoImport(tags('a/b git u', 'a mod v'), 'a/b/c');
  assert.ok(mod !== undefined && mod !== 'several' && mod.vcs === 'mod');
});

const tag = (content: string) => `<meta name="go-import" content="${content}">`;

test("a tag of a shorter prefix counts if that prefix's own page says the same", async () => {
  const content = 'go.corp.example/x git https://git.corp.example/x';
  const same = rig({
    pages: {
      'https://go.corp.example/x/y?go-get=1': tag(content),
      'https://go.corp.example/x?go-get=1': tag(content),
    },
  });
  const place = await same.finder.find(parseModulePath('go.corp.example/x/y'));
  assert.deepEqual(place, {
    vcs: 'git',
    root: 'go.corp.example/x',
    url: 'https://git.corp.example/x',
    directory: '',
  });
  const other = tag('go.corp.example/x git https://git.corp.example/z');
  const lying = rig({
    pages: {
      'https://go.corp.example/x/y?go-get=1': tag(content),
      'https://go.corp.example/x?go-get=1': other,
    },
  });
  await assert.rejects(lying.finder.find(parseModulePath('go.corp.example/x/y')), /disagree/);
});

const badTags: { content: string; error: RegExp }[] = [
  { content: 'go.corp.example/x git ext::sh', error: /not a URL/ },
  { content: 'go.corp.example/x git file:///etc', error: /file:\/\/ is allowed in --git only/ },
  { content: 'go.corp.example/x git --upload-pack=touch', error: /not a URL/ },
  { content: 'go.corp.example/x git http://h/x', error: /not secure; set --insecure/ },
  { content: 'go.corp.example/x git ssh://-oProxyCommand=x/y', error: /no host/ },
  { content: 'go.corp.example/x hg https://h/x', error: /Git only/ },
  { content: 'go.corp.example/x git https://h/x ../..', error: /no directory/ },
  { content: 'go.corp.example/x git https://h/x /etc', error: /no directory/ },
  { content: 'go.corp.example/x git https://h/x --output=y', error: /no directory/ },
  { content: 'go.corp.example/other git https://h/x', error: /no go-import tag/ },
];

for (const { content, error } of badTags) {
  test(`a hostile tag is refused: ${content}`, async () => {
    const { finder } = rig({ pages: { 'https://go.corp.example/x?go-get=1': tag(content) } });
    await assert.rejects(finder.find(parseModulePath('go.corp.example/x')), error);
  });
}

test('redirects lead within the host, or to private paths, and never down to http', async () => {
  const page = tag('go.corp.example/x git https://h/x');
  const to = (location: string) =>
    rig({
      pages: { 'https://go.corp.example/y?go-get=1': page, 'https://in.corp.example/x?go-get=1': page },
      redirects: { 'https://go.corp.example/x?go-get=1': location },
    });
  const find = (location: string) => to(location).finder.find(parseModulePath('go.corp.example/x'));
  assert.equal((await find('/y?go-get=1')).url, 'https://h/x');
  assert.equal((await find('https://in.corp.example/x?go-get=1')).url, 'https://h/x');
  await assert.rejects(find('https://public.example/x?go-get=1'), /no private pattern names/);
  await assert.rejects(find('http://go.corp.example/y?go-get=1'), /not followed/);
  await assert.rejects(find('file:///etc/passwd'), /not followed/);
  await assert.rejects(find('/x?go-get=1'), /redirects/);
});

test('http is asked for --insecure paths only, without credentials', async () => {
  const pages = { 'http://go.corp.example/x?go-get=1': tag('go.corp.example/x git http://h/x') };
  const secure = rig({ pages });
  await assert.rejects(secure.finder.find(parseModulePath('go.corp.example/x')), UpstreamDown);
  assert.deepEqual(secure.asked, ['https://go.corp.example/x?go-get=1']);
  const insecure = rig({ pages, insecure: 'go.corp.example' });
  assert.equal((await insecure.finder.find(parseModulePath('go.corp.example/x'))).url, 'http://h/x');
});

for (const headers of [{}, { authorization: 'Basic x' }]) {
  const isAnonymous = Object.keys(headers).length === 0;
  test(`a page that answers 401 ${isAnonymous ? 'wants a login' : 'is left alone for a while'}`, async () => {
    const clock = { wallMs: () => 0, monotonicMs: () => 0 };
    const asked: string[] = [];
    const discovery = new Discovery({
      get: async ({ url }) => {
        asked.push(url);
        return { status: 401, body: Buffer.from('log in') };
      },
      headersFor: async () => headers,
      pauses: new LoginPauses(clock),
      clock,
      privatePatterns: '*.corp.example',
      insecurePatterns: '',
    });
    const find = (path: string) => discovery.find(parseModulePath(`go.corp.example/${path}`));
    const says = isAnonymous ? /401; it wants a login/ : /401; it refuses the login/;
    await assert.rejects(
      find('a'),
      (error: Error) => error instanceof LoginRefused && says.test(error.message),
    );
    await assert.rejects(find('a'), says);
    await Promise.allSettled(['b', 'c', 'd', 'e', 'f'].map(find));
    await assert.rejects(find('g'), isAnonymous ? says : /its server refused 3 logins/);
    assert.equal(asked.length, isAnonymous ? 8 : 3);
  });
}

test('a page that failed is asked for again, one that is not there is not for a while', async () => {
  for (const { status, times } of [
    { status: 500, times: 2 },
    { status: 404, times: 1 },
  ]) {
    const clock = { wallMs: () => 0, monotonicMs: () => 0 };
    let asked = 0;
    const discovery = new Discovery({
      get: async () => {
        asked++;
        return { status, body: Buffer.from('') };
      },
      headersFor: async () => ({}),
      pauses: new LoginPauses(clock),
      clock,
      privatePatterns: '*.corp.example',
      insecurePatterns: '',
    });
    for (let round = 0; round < 2; round++)
      await assert.rejects(discovery.find(parseModulePath('go.corp.example/a')), new RegExp(`${status}`));
    assert.equal(asked, times);
  }
});

test("Git's own credentials go with a question over https", async (t) => {
  const home = tempDir(t);
  const store = join(home, 'credentials');
  writeFileSync(
    join(home, '.netrc'),
    'machine a.example login me password one\nmachine b.example\nlogin you\npassword two\n',
  );
  writeFileSync(store, 'https://u:p%20q@c.example\n');
  writeFileSync(
    join(home, '.gitconfig'),
    `[credential]\nhelper = store --file ${store}\n[http "https://d.example/"]\nextraHeader = PRIVATE-TOKEN: xyz\n`,
  );
  const git = new GitCommand({ environment: { PATH: process.env.PATH, HOME: home } });
  const credentials = new GitCredentials({ git, netrcPath: join(home, '.netrc') });
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
  assert.deepEqual(await credentials.headersFor('https://a.example/x'), basic('me:one'));
  assert.deepEqual(await credentials.headersFor('https://b.example/x'), basic('you:two'));
  assert.deepEqual(await credentials.headersFor('https://c.example/x'), basic('u:p q'));
  assert.deepEqual(await credentials.headersFor('https://d.example/x'), { 'private-token': 'xyz' });
  assert.deepEqual(await credentials.headersFor('https://e.example/x'), {});
  assert.deepEqual(await credentials.headersFor('http://a.example/x'), {});
});

type Rig = {
  mappings?: string;
  repositories?: string[];
  failure?: Error;
  pages?: Record<string, string>;
  redirects?: Record<string, string>;
  insecure?: string;
};

function rig({ mappings = '', repositories = [], failure, pages = {}, redirects = {}, insecure = '' }: Rig) {
  const asked: string[] = [];
  const get = async ({ url }: { url: string }): Promise<PageAnswer> => {
    asked.push(url);
    const location = redirects[url];
    if (location !== undefined) return { status: 302, location, body: new Uint8Array() };
    const page = pages[url];
    if (page === undefined) throw new Error('connection refused');
    return { status: 200, body: Buffer.from(page) };
  };
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const discovery = new Discovery({
    get,
    headersFor: async () => ({}),
    pauses: new LoginPauses(clock),
    clock,
    privatePatterns: '*.corp.example',
    insecurePatterns: insecure,
  });
  const finder = new RepositoryFinder({
    mappings: parsePathMappings(mappings),
    discovery,
    insecurePatterns: insecure,
    clock,
    isFetched: async () => false,
    probe: async (url) => {
      asked.push(url);
      if (!repositories.includes(url)) throw failure ?? new NotFound('no repository');
    },
  });
  return { finder, asked };
}
