// Goal: what clients do to one another and to the server, from outside: hang-ups, herds, slow
// readers, odd requests, stops, wrong settings.
// Method: a real server as a child process, made-up modules at a local upstream that can hold a body
// back, and plain HTTP clients.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera, type AsteraOptions, runAstera } from '../support/astera.ts';
import { ensureCorpus } from '../support/corpus.ts';
import { freePort } from '../support/free-port.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';

const MIB = 1024 * 1024;

/** uWebSockets ends a response after so long without a write. */
const UWS_PATIENCE_MS = 11_000;

function noiseModule(name: string, contentBytes = 20 * MIB): MadeUpModule {
  return { path: `made-up.example/${name}`, version: 'v1.0.0', contentBytes };
}

function zipPath({ path, version }: MadeUpModule): string {
  return `${path}/@v/${version}.zip`;
}

const small = noiseModule('small', 3000);
const herd = noiseModule('herd');
const hung = noiseModule('hung');
const slow = noiseModule('slow');
const late = noiseModule('late');
const pausing = noiseModule('pausing');
const stall = noiseModule('stall');
const load = noiseModule('load');
const serial = noiseModule('serial', 3 * MIB);

let upstream: LocalUpstream;
let scratch: string;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'astera-clients-'));
  upstream = await LocalUpstream.start({
    root: await ensureCorpus(),
    madeUp: [small, herd, hung, slow, late, pausing, stall, load, serial],
  });
});

after(async () => {
  await upstream.close();
  await rm(scratch, { recursive: true, force: true });
});

/** Runs `work` with a server of its own. */
async function withAstera(
  options: Partial<AsteraOptions>,
  work: (astera: Astera) => Promise<void>,
): Promise<void> {
  const astera = await Astera.start({ upstream: upstream.url, ...options });
  try {
    await work(astera);
  } finally {
    await astera.dispose();
  }
}

/** Opens a request and waits for its head; the body is not read. */
async function open(url: string): Promise<IncomingMessage> {
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  return response;
}

/** The first bytes of a body; what follows stays in the response. */
function firstPart(response: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    response.once('error', reject);
    response.once('data', (part: Buffer) => {
      response.pause(); // In the event itself: the next part may follow in the same turn.
      resolve(part);
    });
  });
}

async function readAll(response: IncomingMessage, first: readonly Buffer[] = []): Promise<Buffer> {
  const parts = [...first];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

test('four clients of one cold zip cost one upstream request and get their first byte when it comes', () =>
  withAstera({}, async (astera) => {
    const release = upstream.hold(zipPath(herd), 64 * 1024);
    const responses = await Promise.all(
      Array.from({ length: 4 }, () => open(`${astera.url}/${zipPath(herd)}`)),
    );
    const firsts = await Promise.all(responses.map(firstPart));
    assert.ok(firsts.every((part) => part.length > 0 && part.length <= 64 * 1024));
    release();
    const { zip } = madeUpFiles(herd);
    const bodies = await Promise.all(
      responses.map((response, at) => readAll(response, firsts.slice(at, at + 1))),
    );
    assert.ok(bodies.every((body) => body.equals(zip)));
    assert.equal(upstream.count(zipPath(herd)), 1);
  }));

test('a client that hangs up takes nobody with it', () =>
  withAstera({}, async (astera) => {
    const release = upstream.hold(zipPath(hung), 64 * 1024);
    const [first, second, third] = await Promise.all(
      Array.from({ length: 3 }, () => open(`${astera.url}/${zipPath(hung)}`)),
    );
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    first.destroy(); // The one whose request began the flight, most likely.
    second.destroy();
    release();
    assert.ok((await readAll(third)).equals(madeUpFiles(hung).zip));
    assert.equal(upstream.count(zipPath(hung)), 1);
  }));

// Together, because each of them waits for longer than uWebSockets does.
describe('patience', { concurrency: true }, () => {
  test('a client that reads nothing for longer than uWebSockets waits still gets the whole', () =>
    withAstera({}, async (astera) => {
      const response = await open(`${astera.url}/${zipPath(slow)}`);
      await delay(UWS_PATIENCE_MS + 2000);
      assert.ok((await readAll(response)).equals(madeUpFiles(slow).zip));
    }));

  for (const [why, module, afterBytes] of [
    ['before its first byte', late, 0],
    ['in the middle', pausing, 5 * MIB],
  ] as const) {
    test(`a zip that pauses ${why} for longer than uWebSockets waits still arrives`, () =>
      withAstera({}, async (astera) => {
        const release = upstream.hold(zipPath(module), afterBytes);
        const answer = astera.get(zipPath(module)).then((response) => response.arrayBuffer());
        await delay(UWS_PATIENCE_MS + 2000);
        release();
        assert.ok(madeUpFiles(module).zip.equals(Buffer.from(await answer)));
      }));
  }

  test('a connection serves on after each large answer, whatever our timers do meanwhile', () =>
    withAstera({ flags: ['--cache-memory', '0', '--cache-weak', '0'] }, async (astera) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const { hostname, port } = new URL(astera.url);
      const path = `/${zipPath(serial)}`;
      for (const untilMs = performance.now() + UWS_PATIENCE_MS; performance.now() < untilMs; ) {
        for (const method of ['GET', 'HEAD']) {
          const asking = request({ hostname, port, path, agent, method });
          asking.end();
          const [answer] = (await once(asking, 'response')) as [IncomingMessage];
          assert.equal(answer.statusCode, 200);
          answer.resume();
          await once(answer, 'end');
        }
      }
      agent.destroy();
    }));

  test('a client that takes no byte for --client-stall is cut off', () =>
    withAstera({ flags: ['--client-stall', '1s'] }, async (astera) => {
      const response = await open(`${astera.url}/${zipPath(stall)}`);
      await delay(5000);
      await assert.rejects(readAll(response), /aborted|ECONNRESET/);
    }));
});

test('SIGTERM under load ends in time with exit 0, and a restart has what was answered', () =>
  withAstera({}, async (astera) => {
    const answered = new Map<string, Buffer>();
    let isStopped = false;
    const paths = ['github.com/google/uuid', 'github.com/spf13/cobra', 'go.uber.org/zap'].map(
      (path) => `${path}/@v/list`,
    );
    const versions = (
      await Promise.all(paths.map((path) => astera.get(path).then((answer) => answer.text())))
    ).flatMap((list, at) =>
      list
        .trim()
        .split('\n')
        .map((version) => (paths[at] ?? '').replace('list', version)),
    );
    const wanted = [
      ...versions.flatMap((path) => [`${path}.mod`, `${path}.zip`, `${path}.info`]),
      zipPath(load),
    ];
    const rest = wanted.values();
    const client = async () => {
      for (const path of rest) {
        const body = await astera
          .get(path)
          .then((answer) => answer.arrayBuffer())
          .catch(() => undefined);
        if (body === undefined) assert.ok(isStopped, `${path}: failed before SIGTERM`);
        else answered.set(path, Buffer.from(body));
        if (answered.size === 10) stopping.resolve();
      }
    };
    const stopping = Promise.withResolvers<void>();
    const clients = Promise.all(Array.from({ length: 8 }, client));
    await stopping.promise;
    isStopped = true;
    const startedMs = performance.now();
    await astera.stop();
    assert.ok(performance.now() - startedMs < 11_000, 'stops within its grace of 10 s');
    await clients;
    await withAstera({ db: astera.db, flags: ['--offline'] }, async (restarted) => {
      for (const [path, body] of answered) {
        const again = await restarted.get(path);
        assert.equal(again.status, 200, path);
        assert.ok(body.equals(Buffer.from(await again.arrayBuffer())), path);
      }
    });
  }));

test('a second server on the same file says so and exits 1', () =>
  withAstera({}, async ({ db }) => {
    const { code, stdout, stderr } = await serveUntilExit(['--db', db, '--upstream', upstream.url]);
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^[^\n]*a\.db[^\n]*\n$/);
  }));

test('a port in use is exit 1, naming it', () =>
  withAstera({}, async ({ url }) => {
    const { host, port } = new URL(url);
    const { code, stderr } = await serveUntilExit([
      ...['--addr', host, '--upstream', upstream.url, '--db', join(scratch, 'port.db')],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^[^\\n]*${port}[^\\n]*\\n$`));
  }));

test('its own address as upstream is refused at the start', async () => {
  const port = await freePort();
  const { code, stderr } = await serveUntilExit([
    ...[
      '--addr',
      `127.0.0.1:${port}`,
      '--upstream',
      `http://127.0.0.1:${port}`,
      '--db',
      join(scratch, 'own.db'),
    ],
  ]);
  assert.equal(code, 2);
  assert.match(stderr, new RegExp(`^[^\\n]*${port}[^\\n]*\\n$`));
});

for (const [why, args] of [
  ['an unknown flag', ['serve', '--no-such-flag']],
  ['a bad duration', ['serve', '--list-ttl', 'soon']],
  ['an unknown command', ['frobnicate']],
] as const) {
  test(`${why} is exit 2 and one line`, async () => {
    const { code, stdout, stderr } = await runAstera(args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^[^\n]+\n$/);
  });
}

test('two nodes that name each other answer 508', async () => {
  const [onePort, otherPort] = [await freePort(), await freePort()];
  const node = (port: number, other: number) => ({
    addr: `127.0.0.1:${port}`,
    upstream: `http://127.0.0.1:${other}`,
  });
  await withAstera(node(onePort, otherPort), (one) =>
    withAstera(node(otherPort, onePort), async (other) => {
      for (const path of [
        'loop.example/m/@v/list',
        'loop.example/m/@v/v1.0.0.zip',
        'loop.example/m/@latest',
      ]) {
        assert.equal((await one.get(path)).status, 508, path);
        assert.equal((await other.get(path)).status, 508, path);
      }
    }),
  );
});

test('two clients that name two looping nodes the same moment do not hang either', async () => {
  const [onePort, otherPort] = [await freePort(), await freePort()];
  await withAstera({ addr: `127.0.0.1:${onePort}`, upstream: `http://127.0.0.1:${otherPort}` }, (one) =>
    withAstera({ addr: `127.0.0.1:${otherPort}`, upstream: `http://127.0.0.1:${onePort}` }, async (other) => {
      const path = 'loop.example/both/@v/v1.0.0.mod';
      const answers = await Promise.all([one.get(path), other.get(path), one.get(path), other.get(path)]);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [508, 508, 508, 508],
      );
    }),
  );
});

test('three nodes in a circle that look up one checksum at the same moment do not hang', async () => {
  const ports = [await freePort(), await freePort(), await freePort()];
  const nodes = await Promise.all(
    ports.map((port, at) =>
      Astera.start({
        addr: `127.0.0.1:${port}`,
        upstream: `http://127.0.0.1:${ports[(at + 1) % ports.length]}`,
        flags: ['--sumdb', 'sum.golang.org'],
      }),
    ),
  );
  try {
    const path = 'sumdb/sum.golang.org/lookup/loop.example/m@v1.0.0';
    const answers = await Promise.all(nodes.map((node) => node.get(path)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [508, 508, 508],
    );
  } finally {
    await Promise.all(nodes.map((node) => node.dispose()));
  }
});

test('whose store is gone is not ready, and says so', () =>
  withAstera({}, async (astera) => {
    await rm(astera.db); // No reader has opened it yet.
    const answer = await astera.get('readyz');
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /^cannot [^\n]*cannot open store "[^\n]+\n$/);
    assert.equal((await astera.get('healthz')).status, 200);
  }));

test('other methods are 405 with Allow', () =>
  withAstera({}, async (astera) => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await astera.get(`${small.path}/@v/list`, { method });
      assert.equal(answer.status, 405, method);
      assert.match(answer.headers.get('allow') ?? '', /GET.*HEAD/, method);
    }
  }));

/** Sent as they are: `fetch` would tidy some of them up. */
const malformed: readonly { readonly path: string; readonly why: string }[] = [
  { path: '/mod/', why: 'no module' },
  { path: '/github.com', why: 'no request' },
  { path: '/@v/list', why: 'empty module path' },
  { path: '/github.com/Azure/x/@v/list', why: 'a raw capital' },
  { path: '/github.com/%21/@v/list', why: 'a dangling escape' },
  { path: '/github.com/%2e%2e/x/@v/list', why: 'dots' },
  { path: '/github.com/../etc/passwd/@v/list', why: 'climbs' },
  { path: '/github.com/%zz/@v/list', why: 'not percent-encoding' },
  { path: '/github.com/%ff%fe/@v/list', why: 'not UTF-8' },
  { path: '/github.com/x/@v/v1.0.0', why: 'no suffix' },
  { path: '/github.com/x/@v/.info', why: 'empty version' },
  { path: '/github.com/x/@v/master.zip', why: 'only .info takes a query' },
  { path: '/github.com/x/@v/v1.zip', why: 'not canonical' },
  { path: '/github.com/x/@v/v1.0.0.tar', why: 'unknown suffix' },
  { path: '/github.com/x/@v/v1.0.0%2f..%2fy.mod', why: 'a slash in the version' },
  { path: `/github.com/${'x'.repeat(3000)}/@v/list`, why: 'over-long' },
  { path: '/github.com/x%00y/@v/list', why: 'a zero byte' },
  { path: '//github.com/x//@v/list', why: 'empty elements' },
];

test('malformed paths are 400 or 404, and reach no upstream', () =>
  withAstera({}, async (astera) => {
    upstream.resetCounters();
    for (const { path, why } of malformed) {
      const { hostname, port } = new URL(astera.url);
      const asking = request({ hostname, port, path, agent: false });
      asking.end();
      const [answer] = (await once(asking, 'response')) as [IncomingMessage];
      answer.resume();
      assert.ok(answer.statusCode === 400 || answer.statusCode === 404, `${why}: ${answer.statusCode}`);
    }
    assert.deepEqual(upstream.counters.requests, {});
  }));

test('/healthz and /readyz are 200, /metrics has the promised names', () =>
  withAstera({}, async (astera) => {
    assert.equal((await astera.get('healthz')).status, 200);
    assert.equal((await astera.get('readyz')).status, 200);
    await (await astera.get(zipPath(small))).arrayBuffer();
    const text = await (await astera.get('metrics')).text();
    for (const name of promisedMetrics) assert.match(text, new RegExp(`^${name}[ {_]`, 'm'), name);
  }));

const promisedMetrics = [
  'astera_http_requests_total',
  'astera_http_request_seconds_bucket',
  'astera_answers_total',
  'astera_store_reads_total',
  'astera_store_writes_total',
  'astera_upstream_requests_total',
  'astera_upstream_resumes_total',
  'astera_singleflight_joined_total',
  'astera_weak_cache_bytes',
  'astera_weak_cache_entries',
  'astera_event_loop_delay_seconds',
  'astera_store_bytes',
];

test('with GOSUMDB=off on the server no checksum database is proxied: clients go on by themselves', () =>
  withAstera({}, async (astera) => {
    assert.equal((await astera.get('sumdb/sum.golang.org/supported')).status, 404);
    assert.equal((await astera.get('mod/sumdb/sum.golang.org/supported')).status, 404);
  }));

test('/mod/ serves the same', () =>
  withAstera({}, async (astera) => {
    const answer = await astera.get(`mod/${zipPath(small)}`);
    assert.ok(madeUpFiles(small).zip.equals(Buffer.from(await answer.arrayBuffer())));
    const client = await GoClient.create(`${astera.url}/mod`);
    try {
      const { code, stderr } = await client.run('mod', 'download', 'github.com/BurntSushi/toml@latest');
      assert.equal(code, 0, stderr);
    } finally {
      await client.dispose();
    }
  }));

for (const [why, prefix, headers] of [
  ['/cached-only/', 'cached-only/', {}],
  ['Disable-Module-Fetch: true', '', { 'disable-module-fetch': 'true' }],
] as const) {
  test(`${why} answers from what is stored and never goes out`, () =>
    withAstera({}, async (astera) => {
      upstream.resetCounters();
      const missing = await astera.get(`${prefix}${zipPath(small)}`, { headers });
      assert.equal(missing.status, 404);
      assert.equal(upstream.count(zipPath(small)), 0);
      await (await astera.get(zipPath(small))).arrayBuffer();
      const stored = await untilStored(() => astera.get(`${prefix}${zipPath(small)}`, { headers }));
      assert.equal(stored.status, 200);
      assert.ok(madeUpFiles(small).zip.equals(Buffer.from(await stored.arrayBuffer())));
      assert.equal(upstream.count(zipPath(small)), 1);
    }));
}

/** A body's last byte may reach its client a moment before the commit: asks until it is no 404, for 5 s. */
async function untilStored(ask: () => Promise<Response>): Promise<Response> {
  for (const giveUpMs = performance.now() + 5000; ; await delay(20)) {
    const answer = await ask();
    if (answer.status !== 404 || performance.now() > giveUpMs) return answer;
    await answer.arrayBuffer();
  }
}

/** What `serve` writes when it must not start. */
function serveUntilExit(args: readonly string[]) {
  return runAstera(['serve', ...(args.includes('--addr') ? [] : ['--addr', '127.0.0.1:0']), ...args]);
}
