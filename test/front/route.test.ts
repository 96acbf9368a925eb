// Goal: every URL is a route or a BadRequest, prefixes say who may go out, and nothing decodes twice.
// Method: a table, and any string there is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { KEY_LENGTH_MAX } from '../../src/core/limits.ts';
import { resourceKey } from '../../src/core/resource.ts';
import { ChecksumsEndpoint } from '../../src/front/checksums-endpoint.ts';
import { routeOf } from '../../src/front/endpoint.ts';
import { ModulesEndpoint } from '../../src/front/modules-endpoint.ts';
import { OperationsEndpoint } from '../../src/front/operations-endpoint.ts';
import { hotKey, parseTarget } from '../../src/front/target.ts';

/** Routes are made without asking a service. */
const nobody = () => Promise.reject(new Error('asked'));
const operations = new OperationsEndpoint({
  metricsText: nobody,
  notReady: nobody,
  access: { demandAdmin: () => undefined },
});
const peek = () => undefined;
const checksums = new ChecksumsEndpoint({ sumdb: { get: nobody, peek }, instance: 'me' });
const modules = new ModulesEndpoint({ modules: { get: nobody, peek }, instance: 'me' });

function nameOf(url: string, query = ''): string | undefined {
  return routeOf([operations, checksums, modules], parseTarget(url, query))?.name;
}

/** The key of a module's file. */
function keyOf(url: string): string | undefined {
  const target = parseTarget(url);
  const route = checksums.route(target) === undefined ? modules.route(target) : undefined;
  return route && resourceKey(route.resource);
}

/** `key` of a module's file; `name` of another route, null where there is none; neither: BadRequest. */
type Row = { url: string; key?: string; name?: string | null; mayFetch?: false; why: string };

const rows: Row[] = [
  { url: '/example.com/a/@v/list', key: 'example.com/a/@v/list', why: 'a list' },
  { url: '/example.com/a/@latest', key: 'example.com/a/@latest', why: '@latest' },
  { url: '/example.com/a/@v/v1.0.0.zip', key: 'example.com/a/@v/v1.0.0.zip', why: 'a zip' },
  {
    url: '/github.com/!azure/x/@v/v1.0.0.mod',
    key: 'github.com/!azure/x/@v/v1.0.0.mod',
    why: 'a raw escape',
  },
  {
    url: '/github.com/%21azure/x/@v/v1.0.0.mod',
    key: 'github.com/!azure/x/@v/v1.0.0.mod',
    why: 'as go sends it',
  },
  { url: '/example.com/a/@v/master.info', key: 'example.com/a/@v/master.info', why: 'a branch' },
  { url: '/example.com/a/%40v/list', key: 'example.com/a/@v/list', why: 'any character may be encoded' },
  { url: '/mod/example.com/a/@v/list', key: 'example.com/a/@v/list', why: 'the prefix of go-cache-plugin' },
  {
    url: '/cached-only/example.com/a/@v/list',
    key: 'example.com/a/@v/list',
    mayFetch: false,
    why: 'not to go out',
  },
  {
    url: '/cached-only/mod/example.com/a/@v/list',
    key: 'example.com/a/@v/list',
    mayFetch: false,
    why: 'both',
  },
  {
    url: '/mod/cached-only/example.com/a/@v/list',
    key: 'example.com/a/@v/list',
    mayFetch: false,
    why: 'both, the other way round',
  },
  { url: '/cached-only/cached-only/example.com/a/@v/list', why: 'one of them twice' },
  {
    url: '/golang.org/toolchain/@v/v0.0.1-go1.22.0.linux-amd64.zip',
    key: 'golang.org/toolchain/@v/v0.0.1-go1.22.0.linux-amd64.zip',
    why: 'a toolchain',
  },
  { url: '/healthz', name: 'healthz', why: 'our own' },
  { url: '/readyz', name: 'readyz', why: 'our own' },
  { url: '/metrics', name: 'metrics', why: 'our own' },
  { url: '/', name: null, why: 'the root' },
  { url: '/favicon.ico', name: null, why: 'no file of a GOPROXY' },
  { url: '/healthz/', name: null, why: 'not quite our own' },
  { url: '/constructor', name: null, why: 'what every object has' },
  { url: '/__proto__', name: null, why: 'what every object has' },
  { url: '/example.com/a/@v/v1.0.0.exe', name: null, why: 'no ending of ours' },
  { url: '/github.com/Azure/x/@v/list', why: 'a raw capital' },
  { url: '/github.com/!/x/@v/list', why: 'a lone escape' },
  { url: '/github.com/!Azure/x/@v/list', why: 'an escaped capital' },
  { url: '/example.com/%/@v/list', why: 'a percent sign alone' },
  { url: '/example.com/%zz/@v/list', why: 'no hex behind it' },
  { url: '/example.com/%ff/@v/list', why: 'no UTF-8' },
  { url: '/example.com/%c0%ae%c0%ae/@v/list', why: 'overlong UTF-8' },
  { url: '/example.com/%00/@v/list', why: 'NUL' },
  { url: '/example.com/a%0d%0aX-Evil:%201/@v/list', why: 'a line break' },
  { url: '/../../etc/passwd/@v/list', why: 'traversal' },
  { url: '/example.com/../../@v/list', why: 'traversal in the middle' },
  { url: '/%2e%2e/%2e%2e/etc/@v/list', why: 'traversal, encoded' },
  { url: '/example.com/..%2f..%2fetc/@v/list', why: 'traversal, its slashes encoded' },
  { url: '/example.com/a/@v/../../x.info', why: 'traversal in a version' },
  { url: '/example.com/a/@v/..%2f..%2fx.zip', why: 'traversal in a version, encoded' },
  { url: '/example.com/%252e%252e/@v/list', why: 'encoded twice is decoded once' },
  { url: '/example.com//a/@v/list', why: 'an empty element' },
  { url: '//@v/list', why: 'no module' },
  { url: '/example.com/a/@v/.info', why: 'no version' },
  { url: '/example.com/a/@v/v1.mod', why: 'a go.mod of no canonical version' },
  { url: `/example.com/${'a'.repeat(KEY_LENGTH_MAX)}/@v/list`, why: 'longer than a key may be' },
];

for (const { url, key, name, mayFetch = true, why } of rows) {
  test(`a route: ${why}: ${url.slice(0, 60)}`, () => {
    if (key === undefined && name === undefined) assert.throws(() => nameOf(url), BadRequest);
    else if (key === undefined) assert.equal(nameOf(url), name ?? undefined);
    else {
      assert.equal(keyOf(url), key);
      assert.equal(parseTarget(url).mayFetch, mayFetch);
    }
  });
}

const part = fc.constantFrom(
  '/',
  '@v',
  '@latest',
  '/@v/',
  'list',
  '.info',
  '.mod',
  '.zip',
  'v1.0.0',
  '!',
  '%',
  '%21',
  '%2f',
  '%00',
  '..',
  'sumdb/',
  'example.com',
  'A',
  'a',
  'mod/',
  'cached-only/',
  'tile/8/0/',
  'lookup/',
  '%c3%a9',
  '\u0000',
  '\n',
  '@',
  '\ud800',
  '/debug/pprof/profile',
);
const url = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
  fc.webPath(),
);

test('any string gives a route or a BadRequest with one line of text', () => {
  fc.assert(
    fc.property(url, fc.string(), (path, query) => {
      try {
        nameOf(`/${path}`, query);
        const key = keyOf(`/${path}`);
        if (key !== undefined) assert.match(key, /^[\x21-\x7e]+\/@[\x20-\x7e]+$/);
      } catch (error) {
        assert.ok(error instanceof BadRequest, `threw ${String(error)}`);
        assert.match(error.message, /^[^\n\r\0]+$/);
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a hot key is the key of the route, wherever a file can be under it', () => {
  fc.assert(
    fc.property(url, (path) => {
      const hot = hotKey(`/${path}`);
      // A key in memory was parsed once: one that does not parse is not there.
      if (goodKey(hot) !== hot) return;
      const key = goodKey(path);
      if (key !== undefined) assert.equal(key, hot);
    }),
    { numRuns: 1_000 },
  );
});

/** The key of a path; undefined for a malformed one. */
function goodKey(path: string): string | undefined {
  try {
    return keyOf(`/${path}`);
  } catch {
    return undefined;
  }
}
