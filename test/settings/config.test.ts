// Goal: every setting comes from the source that wins, is read in its units, and a bad one is one
// line that names where it stood and what to write instead.
// Method: environments of our own, files and a stand-in for `go` in a directory that is removed again.

import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { LOOPBACK } from '../../src/core/network.ts';
import { UsageError } from '../../src/core/usage-error.ts';
import { type Config, loadConfig, loadPlugin, loadStoreConfig } from '../../src/settings/config.ts';
import { serveOptions } from '../../src/settings/serve-options.ts';

const dir = mkdtempSync(join(tmpdir(), 'astera-config-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const base = { GOPROXY: 'https://proxy.example' };

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

/** A PATH on which `go env NAME` runs `script`. */
function pathWithGo(name: string, script: string): string {
  const home = mkdtempSync(join(dir, name));
  writeFileSync(join(home, 'go'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return home;
}

test('without flags the defaults hold, and the result is frozen', async () => {
  const config = await loadConfig({ flags: {}, env: base });
  assert.deepEqual(config, {
    addr: { kind: 'tcp', host: '', port: 8080 },
    dbPath: resolve('astera.db'),
    upstream: 'https://proxy.example',
    upstreamFrom: 'GOPROXY',
    hosts: [],
    routes: [],
    privatePatterns: '',
    noProxyPatterns: '',
    loginPatterns: '',
    privateNetworks: LOOPBACK,
    authFile: undefined,
    oidcIssuer: undefined,
    oidcAudience: undefined,
    gitMappings: '',
    gitDir: resolve('astera.db.git'),
    insecurePatterns: '',
    environment: base,
    flags: {},
    minAge: '',
    minAgeExact: 'on',
    allow: '',
    deny: '',
    policyFile: undefined,
    tlsCert: undefined,
    tlsKey: undefined,
    listTtlMs: 300_000,
    negativeTtlMs: 60_000,
    staleWaitMs: 1500,
    clientStallMs: 60_000,
    firstByteWaitMs: 300_000,
    offline: false,
    cacheBytesMax: 67_108_864,
    cacheTtlMs: 60_000,
    cacheWeakBytesMax: 67_108_864,
    readers: Math.min(64, Math.max(1, availableParallelism() - 1)),
    storeBytesMax: undefined,
    pinPatterns: '',
    buildCacheBytesMax: 20 * 1024 ** 3,
    buildCacheExpiryMs: 2_592_000_000,
    cacheReadNeedsLogin: false,
    verify: 'store',
    sumdb: 'sum.golang.org',
    vulndb: 'https://vuln.go.dev',
    noSumdbPatterns: '',
    bucket: undefined,
    bucketPrivate: false,
    pprof: false,
    importLocalCache: false,
    localCacheDir: undefined,
    logLevel: 'info',
    proxyEnv: { httpProxy: '', httpsProxy: '', noProxy: '', isCgi: false },
    systemd: undefined,
  } satisfies Config);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.proxyEnv));
});

/** One value of each setting that is not its default. */
const others: { field: keyof Config; text: string; value: unknown }[] = [
  { field: 'addr', text: 'unix:/run/a.sock', value: { kind: 'unix', path: '/run/a.sock' } },
  { field: 'dbPath', text: '/var/lib/a.db', value: '/var/lib/a.db' },
  {
    field: 'upstream',
    text: 'https://a.example|https://b.example,off',
    value: 'https://a.example|https://b.example,off',
  },
  {
    field: 'routes',
    text: 'a.example=https://b.example,off,c.example=direct',
    value: [
      { pattern: 'a.example', list: 'https://b.example,off,' },
      { pattern: 'c.example', list: 'direct' },
    ],
  },
  { field: 'privatePatterns', text: '*.corp.example,a.b', value: '*.corp.example,a.b' },
  { field: 'gitMappings', text: 'off', value: undefined },
  { field: 'gitDir', text: '/var/lib/git', value: '/var/lib/git' },
  { field: 'insecurePatterns', text: '*.corp.example', value: '*.corp.example' },
  { field: 'loginPatterns', text: '*', value: '*' },
  {
    field: 'privateNetworks',
    text: '192.168.1.0/24',
    value: [{ bytes: Uint8Array.of(192, 168, 1, 0), bits: 24 }],
  },
  { field: 'hosts', text: 'A.example., *.b.example,*', value: ['a.example', '*.b.example', '*'] },
  { field: 'tlsCert', text: '/etc/a/cert.pem', value: '/etc/a/cert.pem' },
  { field: 'tlsKey', text: '/etc/a/key.pem', value: '/etc/a/key.pem' },
  { field: 'authFile', text: '/etc/a/users', value: '/etc/a/users' },
  { field: 'oidcIssuer', text: 'https://ci.example', value: 'https://ci.example' },
  { field: 'oidcAudience', text: 'astera', value: 'astera' },
  { field: 'minAge', text: '7d,a.example=0s', value: '7d,a.example=0s' },
  { field: 'minAgeExact', text: 'off', value: 'off' },
  { field: 'allow', text: 'a.example@v1.2.3', value: 'a.example@v1.2.3' },
  { field: 'deny', text: 'a.example,b.example@<v1.2.3', value: 'a.example,b.example@<v1.2.3' },
  { field: 'policyFile', text: '/etc/a/policy', value: '/etc/a/policy' },
  { field: 'listTtlMs', text: '720h', value: 2_592_000_000 },
  { field: 'negativeTtlMs', text: '0', value: 0 },
  { field: 'staleWaitMs', text: '250ms', value: 250 },
  { field: 'clientStallMs', text: '1h30m', value: 5_400_000 },
  { field: 'firstByteWaitMs', text: '45s', value: 45_000 },
  { field: 'offline', text: 'true', value: true },
  { field: 'cacheBytesMax', text: '500MB', value: 500_000_000 },
  { field: 'cacheTtlMs', text: '576h', value: 2_073_600_000 },
  { field: 'cacheWeakBytesMax', text: '0', value: 0 },
  { field: 'readers', text: '64', value: 64 },
  { field: 'verify', text: 'strict', value: 'strict' },
  { field: 'sumdb', text: 'off', value: 'off' },
  { field: 'vulndb', text: 'file:///srv/vulndb', value: 'file:///srv/vulndb' },
  { field: 'storeBytesMax', text: '32MiB', value: 32 * 1024 ** 2 },
  { field: 'pinPatterns', text: 'import,*.corp.example', value: 'import,*.corp.example' },
  { field: 'buildCacheBytesMax', text: '1GiB', value: 1024 ** 3 },
  { field: 'buildCacheExpiryMs', text: '25h', value: 90_000_000 },
  { field: 'cacheReadNeedsLogin', text: 'true', value: true },
  { field: 'bucketPrivate', text: 'true', value: true },
  { field: 'pprof', text: 'true', value: true },
  { field: 'importLocalCache', text: 'true', value: true },
  { field: 'localCacheDir', text: '/go/cache', value: '/go/cache' },
  { field: 'logLevel', text: 'debug', value: 'debug' },
];

test('every setting is tried below', () => {
  assert.deepEqual(
    others.map(({ field }) => field),
    Object.keys(serveOptions),
  );
});

for (const { field, text, value } of others) {
  const name = serveOptions[field as keyof typeof serveOptions].name;
  const variable = `ASTERA_${name.toUpperCase().replaceAll('-', '_')}`;

  test(`--${name}, ${variable} and the file each set ${field}`, async () => {
    const config = file(`${name}.conf`, `# a comment\n\n  ${name} =  ${text}  \r\n`);
    assert.deepEqual((await loadConfig({ flags: { [name]: text }, env: base }))[field], value);
    assert.deepEqual((await loadConfig({ flags: {}, env: { ...base, [variable]: text } }))[field], value);
    assert.deepEqual((await loadConfig({ flags: { config }, env: base }))[field], value);
    assert.deepEqual(
      (await loadConfig({ flags: {}, env: { ...base, ASTERA_CONFIG: config } }))[field],
      value,
    );
  });
}

test('the flag wins over the variable, and that over the file', async () => {
  const config = file(
    'order.conf',
    'list-ttl = 1s\nnegative-ttl = 1s\nstale-wait = 1s\nreaders = 3\nreaders = 4\n',
  );
  const loaded = await loadConfig({
    flags: { config, 'list-ttl': '3s' },
    env: { ...base, ASTERA_LIST_TTL: '2s', ASTERA_NEGATIVE_TTL: '2s', ASTERA_STALE_WAIT: '' },
  });
  assert.equal(loaded.listTtlMs, 3000);
  assert.equal(loaded.negativeTtlMs, 2000);
  assert.equal(loaded.staleWaitMs, 1000, 'an empty variable is none');
  assert.equal(loaded.readers, 4, 'the last line counts');
});

test('lines of a list add up', async () => {
  const config = file('routes.conf', 'route = a.example=off\nroute = b.example=direct\n');
  const { routes } = await loadConfig({ flags: { config }, env: base });
  assert.deepEqual(
    routes.map(({ pattern }) => pattern),
    ['a.example', 'b.example'],
  );
});

test('--config wins over ASTERA_CONFIG', async () => {
  const config = file('flag.conf', 'readers = 5');
  const loaded = await loadConfig({ flags: { config }, env: { ...base, ASTERA_CONFIG: '/nowhere' } });
  assert.equal(loaded.readers, 5);
});

test('a value in the file goes to the end of its line', async () => {
  const config = file('value.conf', 'upstream=https://u:p@a.example/x=y#z,direct\n');
  assert.equal(
    (await loadConfig({ flags: { config }, env: {} })).upstream,
    'https://u:p@a.example/x=y#z,direct',
  );
});

const bad: { name: string; texts: readonly string[]; form: RegExp }[] = [
  { name: 'addr', texts: ['8080', '', ':99999'], form: /an address such as :8080/ },
  { name: 'db', texts: ['', ' ', 'a\0b'], form: /a file/ },
  { name: 'upstream', texts: ['', ' '], form: /https:\/\/proxy\.example,direct/ },
  { name: 'private', texts: ['a.b, c.d', 'a.['], form: /comma-separated patterns/ },
  { name: 'insecure', texts: ['a.b, c.d'], form: /comma-separated patterns/ },
  { name: 'private-allow', texts: ['', 'localhost', '10.0.0.1/8'], form: /comma-separated networks/ },
  {
    name: 'hosts',
    texts: ['a.example:80', 'a..b', '10.0.0.0/8', '*.', 'a b'],
    form: /comma-separated names/,
  },
  { name: 'list-ttl', texts: ['5', '-5m', '5 minutes', ''], form: /a duration such as/ },
  { name: 'negative-ttl', texts: ['1d'], form: /a duration such as/ },
  { name: 'stale-wait', texts: ['1h1ms', 'never'], form: /up to 1h/ },
  { name: 'client-stall', texts: ['0', '25h'], form: /up to 24h and not 0/ },
  { name: 'offline', texts: ['yes', ''], form: /true or false/ },
  { name: 'cache-memory', texts: ['64M', '-1'], form: /a size such as/ },
  { name: 'cache-ttl', texts: ['577h'], form: /up to 576h/ },
  { name: 'cache-weak', texts: ['lots'], form: /a size such as/ },
  { name: 'readers', texts: ['0', '65', '2.5', '1e1', ''], form: /from 1 to 64/ },
  { name: 'max-size', texts: ['31MiB', '20G'], form: /at least 32MiB/ },
  { name: 'pin', texts: ['a b', '[a'], form: /as in GOPRIVATE, or import/ },
  { name: 'max-build-cache', texts: ['20G'], form: /a size such as/ },
  { name: 'build-cache-expiry', texts: ['24h'], form: /at least 25h/ },
  { name: 'verify', texts: ['loose', ''], form: /expected off, store or strict/ },
  { name: 'log-level', texts: ['trace', 'INFO'], form: /debug, info, warn or error/ },
];

for (const { name, texts, form } of bad) {
  for (const text of texts) {
    test(`--${name} ${JSON.stringify(text)} is refused in one line`, async () => {
      await assert.rejects(loadConfig({ flags: { [name]: text }, env: base }), (error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, form);
        assert.ok(
          error.message.startsWith(`bad value for --${name}: ${JSON.stringify(text)}`),
          error.message,
        );
        return !error.message.includes('\n');
      });
    });
  }
}

test('a bad value is told with the variable or the line it stood in', async () => {
  const config = file('bad.conf', '\nreaders = many\n');
  await assert.rejects(
    loadConfig({ flags: { config }, env: base }),
    /--readers \(from .*bad\.conf:2\): "many"/,
  );
  const env = { ...base, ASTERA_READERS: 'many' };
  await assert.rejects(loadConfig({ flags: {}, env }), /--readers \(from ASTERA_READERS\): "many"/);
  await assert.rejects(
    loadConfig({ flags: {}, env: { ...base, GOPRIVATE: '[' } }),
    /--private \(from GOPRIVATE\): "\["/,
  );
});

const badFiles: { name: string; text: string; says: RegExp; why: string }[] = [
  {
    name: 'unknown.conf',
    text: '# x\nlst-ttl = 5m',
    says: /unknown\.conf:2 "lst-ttl": did you mean list-ttl\?/,
    why: 'typo',
  },
  {
    name: 'self.conf',
    text: 'config = other.conf',
    says: /unknown setting/,
    why: 'a file that names another',
  },
  { name: 'dashes.conf', text: '--addr = :1', says: /expected name = value/, why: 'a name with its dashes' },
  {
    name: 'bare.conf',
    text: 'offline',
    says: /bare\.conf:1: expected name = value: "offline"/,
    why: 'no value',
  },
  { name: 'large.conf', text: '#'.repeat(65_537), says: /up to 65536 bytes/, why: 'too large' },
];

for (const { name, text, says, why } of badFiles) {
  test(`a settings file is refused: ${why}`, async () => {
    await assert.rejects(loadConfig({ flags: { config: file(name, text) }, env: base }), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, says);
      return true;
    });
  });
}

test('a settings file that cannot be read is named', async () => {
  for (const config of [join(dir, 'nowhere.conf'), dir]) {
    await assert.rejects(loadConfig({ flags: { config }, env: base }), (error) => {
      return error instanceof UsageError && error.message.includes(JSON.stringify(config));
    });
  }
});

test('the upstream is the flag, the variable, the file, GOPROXY, then what go says', async () => {
  const config = file('upstream.conf', 'upstream = https://file.example');
  const env = {
    ASTERA_UPSTREAM: 'https://variable.example',
    GOPROXY: 'https://goproxy.example',
    PATH: pathWithGo('says', 'test "$1 $2" = "env GOPROXY" && echo "https://go.example,direct|$GOTOOLCHAIN"'),
  };
  const upstreamOf = async (flags: Record<string, string>, env: Record<string, string>) => {
    const { upstream, upstreamFrom } = await loadConfig({ flags, env });
    return [upstream, upstreamFrom];
  };
  assert.deepEqual(await upstreamOf({ upstream: 'https://flag.example', config }, env), [
    'https://flag.example',
    '--upstream',
  ]);
  assert.deepEqual(await upstreamOf({ config }, env), ['https://variable.example', 'ASTERA_UPSTREAM']);
  const { ASTERA_UPSTREAM: _variable, ...rest } = env;
  assert.deepEqual(await upstreamOf({ config }, rest), ['https://file.example', `${config}:1`]);
  assert.deepEqual(await upstreamOf({}, rest), ['https://goproxy.example', 'GOPROXY']);
  const bare = { PATH: env.PATH, GOPROXY: '' };
  assert.deepEqual(await upstreamOf({}, bare), ['https://go.example,direct|local', 'go env GOPROXY']);
});

const noGo: { name: string; script: string; why: string }[] = [
  { name: 'fails', script: 'echo https://go.example; exit 1', why: 'go fails' },
  { name: 'silent', script: 'exit 0', why: 'go says nothing' },
  { name: 'endless', script: 'while echo https://go.example; do :; done', why: 'go never stops writing' },
];

for (const { name, script, why } of noGo) {
  test(`without an upstream the way out is named: ${why}`, async () => {
    const env = { PATH: `${pathWithGo(name, script)}` };
    await assert.rejects(loadConfig({ flags: {}, env }), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /^no upstream: pass --upstream .* GOPROXY; --offline/);
      return true;
    });
  });
}

test('without an upstream and without go the way out is named too', async () => {
  await assert.rejects(loadConfig({ flags: {}, env: { PATH: dir } }), /no upstream/);
});

test('a malformed list is told with where it stood, and without its password', async () => {
  const env = { PATH: dir, GOPROXY: 'https://me:s3cret@[::1' };
  await assert.rejects(loadConfig({ flags: {}, env }), {
    name: 'UsageError',
    message: 'bad value for --upstream (from GOPROXY): cannot read upstream list: not a URL: "https://[::1"',
  });
});

const badMappings: { git: string; env?: Record<string, string>; message: RegExp; why: string }[] = [
  { git: 'a.b/*', message: /^bad value for --git: malformed mapping "a\.b\/\*": no "=" /, why: 'no URL' },
  {
    git: 'a.b/*=https://me:s3cret@h/*',
    message: /credentials in a URL show in process lists/,
    why: 'a password',
  },
  { git: 'a.b/*=ext::sh', message: /different numbers of stars/, why: 'stars' },
  { git: 'a.b/x=ext::sh', message: /not a URL with https/, why: 'a program' },
  { git: 'a.b/x*=https://me:s3cret@h/*', message: /a star is only a part/, why: 'a password beside a fault' },
  { git: 'a.b/*=git@h:team/*', message: /write it as ssh:\/\/git@h\/team\/x$/, why: "scp's form" },
  {
    git: 'a.b/*=https://h/*,c.d/*=https://h/*',
    message: /it maps "c\.d\/\*", which no private pattern matches: add it to --private$/,
    why: 'a path that would go to the upstreams',
  },
  {
    git: 'a.b/*=https://h/*',
    env: { GONOPROXY: 'none' },
    message: /which no private pattern matches/,
    why: 'GONOPROXY takes all private patterns back',
  },
];
for (const { git, env = {}, message, why } of badMappings) {
  test(`a mapping of --git that can't be meant: ${why}`, async () => {
    const flags = { git, private: '*.b/team,a.*' };
    await assert.rejects(loadConfig({ flags, env: { ...base, ...env } }), (error: Error) => {
      assert.equal(error.name, 'UsageError');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    });
  });
}

test('a mapping may be wider or narrower than the private pattern', async () => {
  const git = 'a.b/*=https://h/*,x.c/team/lib/*=https://h/*,d.e/*/*=https://h/*/*';
  const flags = { git, private: 'a.b/team,*.c,d.e/team/l[a-z]*' };
  assert.equal((await loadConfig({ flags, env: base })).gitMappings, git);
});

test('a link to a store is the store, so that its one lock holds', async () => {
  const [store, link] = [file('linked.db', ''), join(dir, 'link.db')];
  symlinkSync(store, link);
  const { dbPath } = await loadConfig({ flags: { db: link, offline: 'true' }, env: {} });
  assert.equal(dbPath, realpathSync(store));
  assert.equal(loadStoreConfig({ flags: { db: link }, env: {} }).dbPath, dbPath);
});

test('offline needs no upstream, and asks no go for one', async () => {
  const env = { PATH: pathWithGo('unasked', 'echo https://go.example') };
  const { upstream, upstreamFrom } = await loadConfig({ flags: { offline: 'true' }, env });
  assert.deepEqual([upstream, upstreamFrom], ['off', '--offline']);
});

test('private patterns come from GOPRIVATE unless they are set, to nothing even', async () => {
  const env = { ...base, GOPRIVATE: '*.corp.example' };
  assert.equal((await loadConfig({ flags: {}, env })).privatePatterns, '*.corp.example');
  assert.equal((await loadConfig({ flags: { private: '' }, env })).privatePatterns, '');
  assert.equal((await loadConfig({ flags: { private: 'a.b' }, env })).privatePatterns, 'a.b');
});

const patterns: { why: string; env: Record<string, string>; private?: string; says: readonly string[] }[] = [
  { why: 'nothing is set', env: {}, says: ['', '', ''] },
  { why: 'GOPRIVATE is the default of both', env: { GOPRIVATE: 'a' }, says: ['a', 'a', 'a'] },
  { why: '--private as well', env: { GOPRIVATE: 'a' }, private: 'b', says: ['b', 'b', 'b'] },
  { why: 'GONOPROXY says nothing of checksums', env: { GONOPROXY: 'p' }, says: ['', 'p', ''] },
  { why: 'GONOSUMDB says nothing of upstreams', env: { GONOSUMDB: 's' }, says: ['', '', 's'] },
  { why: 'each wins over GOPRIVATE', env: { GOPRIVATE: 'a', GONOPROXY: 'none' }, says: ['a', 'none', 'a'] },
  { why: 'and over --private', env: { GONOSUMDB: 'none' }, private: 'b', says: ['b', 'b', 'none'] },
  { why: 'an empty one is unset', env: { GOPRIVATE: 'a', GONOPROXY: '' }, says: ['a', 'a', 'a'] },
];

for (const { why, env, private: flag, says } of patterns) {
  test(`private, no proxy, no checksums: ${why}`, async () => {
    const flags = flag === undefined ? {} : { private: flag };
    const config = await loadConfig({ flags, env: { ...base, ...env } });
    assert.deepEqual([config.privatePatterns, config.noProxyPatterns, config.noSumdbPatterns], says);
  });
}

test('proxy variables are read in both cases, the upper one first', async () => {
  const lower = { http_proxy: 'http://l.example', https_proxy: 'http://m.example', no_proxy: 'l' };
  const read = async (env: Record<string, string>) =>
    (await loadConfig({ flags: {}, env: { ...base, ...env } })).proxyEnv;
  assert.deepEqual(await read(lower), {
    httpProxy: 'http://l.example',
    httpsProxy: 'http://m.example',
    noProxy: 'l',
    isCgi: false,
  });
  assert.deepEqual(await read({ ...lower, HTTP_PROXY: 'http://u.example', HTTPS_PROXY: '', NO_PROXY: '*' }), {
    httpProxy: 'http://u.example',
    httpsProxy: 'http://m.example',
    noProxy: '*',
    isCgi: false,
  });
  assert.equal((await read({ REQUEST_METHOD: 'PUT' })).isCgi, true);
  assert.equal((await read({ REQUEST_METHOD: '' })).isCgi, false);
});

test('systemd is told only where it asks for it, and its watchdog is fed only by the process that it watches', async () => {
  const pid = String(process.pid);
  const rows: { env: Record<string, string>; systemd: Config['systemd'] }[] = [
    { env: { WATCHDOG_USEC: '90000000' }, systemd: undefined },
    { env: { NOTIFY_SOCKET: '' }, systemd: undefined },
    { env: { NOTIFY_SOCKET: '/run/n' }, systemd: { watchdogMs: undefined } },
    { env: { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '90000000' }, systemd: { watchdogMs: 90_000 } },
    {
      env: { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '90000000', WATCHDOG_PID: pid },
      systemd: { watchdogMs: 90_000 },
    },
    {
      env: { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '90000000', WATCHDOG_PID: '1' },
      systemd: { watchdogMs: undefined },
    },
    { env: { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: 'soon' }, systemd: { watchdogMs: undefined } },
  ];
  for (const { env, systemd } of rows) {
    assert.deepEqual(
      (await loadConfig({ flags: {}, env: { ...base, ...env } })).systemd,
      systemd,
      JSON.stringify(env),
    );
  }
});

const AT_5930 = { kind: 'tcp', host: '127.0.0.1', port: 5930 } as const;
const plugins: {
  why: string;
  flags?: Record<string, string>;
  env?: Record<string, string>;
  expected: { isAlone: boolean; settings?: Record<string, string> } | undefined;
}[] = [
  { why: 'nothing is set', expected: undefined },
  { why: 'a directory is set for the cache program alone', env: { GOCACHE_DIR: '/x' }, expected: undefined },
  { why: '--plugin alone', flags: { plugin: '5930' }, expected: { isAlone: true } },
  { why: '--plugin and --addr', flags: { plugin: '5930', addr: ':1' }, expected: { isAlone: false } },
  { why: '--plugin and --http', flags: { plugin: '5930', http: ':1' }, expected: { isAlone: false } },
  {
    why: 'an address in the environment counts',
    flags: { plugin: '5930' },
    env: { ASTERA_ADDR: ':1' },
    expected: { isAlone: false },
  },
  {
    why: "go-cache-plugin's variables",
    env: {
      GOCACHE_PLUGIN: '5930',
      GOCACHE_HTTP: ':1',
      GOCACHE_MODPROXY: '1',
      GOCACHE_DIR: '/x',
      GOCACHE_EXPIRY: '1h',
    },
    expected: { isAlone: false, settings: { 'cache-dir': '/x', expiry: '1h' } },
  },
  {
    why: 'ours win over those',
    flags: { plugin: '5930' },
    env: { ASTERA_CACHE_DIR: '/ours', GOCACHE_DIR: '/theirs' },
    expected: { isAlone: true, settings: { 'cache-dir': '/ours' } },
  },
];
for (const { why, flags = {}, env = {}, expected } of plugins) {
  test(`plugin: ${why}`, () => {
    const plugin = loadPlugin({ flags, env });
    if (expected === undefined) return assert.equal(plugin, undefined);
    assert.deepEqual(plugin?.address, AT_5930);
    assert.deepEqual({ isAlone: plugin?.isAlone, settings: plugin?.settings }, { settings: {}, ...expected });
  });
}

test('a plugin server has its bucket from the file too, and the keys for it from the environment', () => {
  const config = file(
    'bucket.conf',
    'plugin = 5930\nbucket = corp\ns3-endpoint-url = http://pi:9000\ns3-path-style = true\n',
  );
  const keys = { AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'B' };
  const plugin = loadPlugin({ flags: { config }, env: { ...keys, PATH: '/bin' } });
  const bucket = { bucket: 'corp', 's3-endpoint-url': 'http://pi:9000', 's3-path-style': 'true' };
  assert.deepEqual(plugin?.settings, bucket);
  assert.deepEqual(plugin?.env, keys);
});

test("--http, and go-cache-plugin's variable for it, are other names for --addr", async () => {
  const expected = { kind: 'tcp', host: 'localhost', port: 5970 };
  assert.deepEqual((await loadConfig({ flags: { http: 'localhost:5970' }, env: base })).addr, expected);
  const theirs = { ...base, GOCACHE_HTTP: 'localhost:5970' };
  assert.deepEqual((await loadConfig({ flags: {}, env: theirs })).addr, expected);
});

test('a bad value for the plugin server names where it stood', () => {
  const load = (env: Record<string, string>) => () => loadPlugin({ flags: { plugin: '5930' }, env });
  assert.throws(
    load({ GOCACHE_EXPIRY: 'x' }),
    /^UsageError: bad value for --expiry \(from GOCACHE_EXPIRY\): "x"/,
  );
});

test("a bucket is set by the cache program's flags and variables, with or without a plugin server", async () => {
  const flags = { bucket: 'corp-go', prefix: '/a/', 'min-upload-size': '4KiB', u: '8', layout: 'packs' };
  const env = { ...base, GOCACHE_S3_REGION: 'eu-central-1', AWS_PROFILE: 'go' };
  const { bucket } = await loadConfig({ flags, env });
  assert.deepEqual(bucket, {
    address: {
      name: 'corp-go',
      region: 'eu-central-1',
      endpoint: undefined,
      isPathStyle: false,
      prefix: 'a',
    },
    env: { AWS_PROFILE: 'go' },
    uploads: 8,
    outputBytesMin: 4096,
    hasObjects: false,
  });
  assert.equal(loadPlugin({ flags, env }), undefined);
  await assert.rejects(loadConfig({ flags: { bucket: 'no' }, env: base }), { name: 'UsageError' });
});
