// Goal: the text at `/` says in few lines what the page shows, with whole words where there is nothing.
// Method: statuses of a server that has done nothing, and of a busy one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Status, TOTALS, type Totals } from '../../src/core/status.ts';
import { percent } from '../../src/core/status-figures.ts';
import { statusText } from '../../src/status/status-text.ts';

const zeros = Object.fromEntries(TOTALS.map((name) => [name, 0])) as Totals;

const idle: Status = {
  atMs: 5_000,
  server: {
    version: '1.2.3',
    node: '22',
    startedAtMs: 0,
    address: ':8080',
    isSecure: false,
    isOffline: false,
    verify: 'store',
  },
  open: { requests: 0, connections: 1 },
  hour: [{ fromMs: 0 }],
  total: zeros,
  downloads: { shown: [], more: 0 },
  upstreams: [{ name: 'proxy.example', isDown: false }],
  store: undefined,
  git: undefined,
  bucket: undefined,
};

const SETUP = `# Modules and checksums
  go env -w GOPROXY=http://pi,direct
# Build cache (any Node from 20 on)
  curl -o ~/cacheprog.mjs http://pi/cacheprog.mjs
  go env -w GOCACHEPROG="node $HOME/cacheprog.mjs --remote=http://pi" GOFLAGS=-trimpath
`;

test('a server that nobody has asked', () => {
  assert.equal(
    statusText(idle, 'http://pi'),
    `Astera 1.2.3 at http://pi, up 5s

${SETUP}
last hour    no file was given out
now          0 requests, 1 connection
upstreams    proxy.example (up); 0 requests, 0 failed
store        not counted yet
build cache  nobody has asked for a result
`,
  );
});

test('a busy one', () => {
  const busy: Status = {
    ...idle,
    atMs: 90_061_000,
    open: { requests: 3, connections: 12 },
    hour: [{ fromMs: 0, memory: 1_500, store: 460, upstream: 39, stale: 1, upstreamBytes: 12_582_912 }],
    total: {
      ...zeros,
      buildHits: 1,
      buildMisses: 2,
      upstreamRequests: 1_234,
      upstreamFailures: 2,
      refused: 7,
    },
    downloads: {
      shown: [
        { module: 'a.example/x', version: 'v1.0.0', receivedBytes: 1024, sizeBytes: 4096, startedAtMs: 1 },
        { module: 'a.example/y', version: 'v1.0.0', receivedBytes: 10, sizeBytes: undefined, startedAtMs: 1 },
      ],
      more: 3,
    },
    upstreams: [
      { name: 'proxy.example', isDown: true },
      { name: 'other.example', isDown: false },
    ],
    store: {
      countedAtMs: 1,
      fileBytes: 2 * 1024 ** 3,
      freeBytes: 0,
      walBytes: 0,
      kinds: [
        { kind: 'zip', entries: 1_234, bytes: 1024 ** 3 },
        { kind: 'list', entries: 9, bytes: 10 },
      ],
      limit: { bytesMax: 3 * 1024 ** 3, pinnedBytes: 5 },
      uploads: { waiting: 3, oldestAtMs: 1, refused: 1 },
      absent: 1,
      partials: 0,
      buildCache: { actions: 3, outputs: 2, bytes: 4096, storedBytes: 1024 },
      unchecked: 0,
      unconfirmed: 0,
      full: 'disk is full: 1 MiB free, 100 kept back',
    },
    git: { copies: 2, bytes: 2048, removed: 0, tidied: 0 },
    bucket: { isDown: true },
  };
  assert.equal(
    statusText(busy, 'http://pi'),
    `Astera 1.2.3 at http://pi, up 1d 1h

${SETUP}
last hour    2,000 answers, 98.0 % out of memory and store; 12MiB fetched
now          3 requests, 12 connections, 3 more downloads
coming       a.example/x v1.0.0: 1KiB of 4KiB
coming       a.example/y v1.0.0: 10B
upstreams    proxy.example (down), other.example (up); 1,234 requests, 2 failed
policy       7 requests refused
store        2GiB of 3GiB; 1,234 .zip 1GiB; disk is full: 1 MiB free, 100 kept back
build cache  2 outputs of 4KiB, stored in 1KiB; 33.3 % of 3 gets found
git          2 copies of repositories, 2KiB
bucket       down; 3 files waiting for it, 1 refused
`,
  );
  const offline = statusText({ ...busy, server: { ...busy.server, isOffline: true } }, 'http://pi');
  assert.match(offline, /^Astera .*, up 1d 1h, offline$/m);
  assert.match(offline, /^upstreams {4}offline: nobody is asked$/m);
  const one = statusText({ ...busy, git: { copies: 1, bytes: 2048, removed: 0, tidied: 0 } }, 'http://pi');
  assert.match(one, /^git {10}1 copy of a repository, 2KiB$/m);
});

test('only all of it is 100 %', () => {
  const cases = [
    [0, 0, undefined],
    [0, 3, '0.0 %'],
    [1, 3, '33.3 %'],
    [99_999, 100_000, '99.9 %'],
    [5, 5, '100 %'],
  ] as const;
  for (const [part, whole, text] of cases) assert.equal(percent(part, whole), text);
});
