// Goal: each file of a GOPROXY is read from its path and written back to it, and no other path is accepted.
// Method: tables of paths, and properties over generated resources and arbitrary text.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { KEY_LENGTH_MAX } from '../../src/core/limits.ts';
import { isImmutable, moduleOf, parseResource, resourceKey } from '../../src/core/resource.ts';

const files: { path: string; resource: Record<string, string>; isKept: boolean; why: string }[] = [
  {
    path: 'rsc.io/quote/@v/list',
    resource: { kind: 'list', module: 'rsc.io/quote' },
    isKept: false,
    why: 'list',
  },
  {
    path: 'rsc.io/quote/@latest',
    resource: { kind: 'latest', module: 'rsc.io/quote' },
    isKept: false,
    why: 'latest',
  },
  {
    path: 'github.com/@v/list',
    resource: { kind: 'list', module: 'github.com' },
    isKept: false,
    why: 'a prefix',
  },
  {
    path: 'rsc.io/quote/@v/v1.5.2.info',
    resource: { kind: 'info', module: 'rsc.io/quote', version: 'v1.5.2' },
    isKept: true,
    why: 'info of a version',
  },
  {
    path: 'github.com/!azure/x/v2/@v/v2.0.0-!r!c1.mod',
    resource: { kind: 'mod', module: 'github.com/Azure/x/v2', version: 'v2.0.0-RC1' },
    isKept: true,
    why: 'mod, escaped in both parts',
  },
  {
    path: 'rsc.io/quote/@v/v3.0.0+incompatible.zip',
    resource: { kind: 'zip', module: 'rsc.io/quote', version: 'v3.0.0+incompatible' },
    isKept: true,
    why: 'zip',
  },
  {
    path: 'golang.org/toolchain/@v/v0.0.1-go1.27.0.linux-amd64.zip',
    resource: { kind: 'zip', module: 'golang.org/toolchain', version: 'v0.0.1-go1.27.0.linux-amd64' },
    isKept: true,
    why: 'a toolchain',
  },
  {
    path: 'rsc.io/quote/@v/master.info',
    resource: { kind: 'query', module: 'rsc.io/quote', query: 'master' },
    isKept: false,
    why: 'info of a branch',
  },
  {
    path: 'rsc.io/quote/@v/v1.info',
    resource: { kind: 'query', module: 'rsc.io/quote', query: 'v1' },
    isKept: false,
    why: 'info of a prefix',
  },
  {
    path: 'rsc.io/quote/@v/list.info',
    resource: { kind: 'query', module: 'rsc.io/quote', query: 'list' },
    isKept: false,
    why: 'a branch named list',
  },
  {
    path: 'rsc.io/quote/@v/a.zip.info',
    resource: { kind: 'query', module: 'rsc.io/quote', query: 'a.zip' },
    isKept: false,
    why: 'a branch named like a zip',
  },
  {
    path: 'rsc.io/quote/@v/v3.0.0.info',
    resource: { kind: 'query', module: 'rsc.io/quote', query: 'v3.0.0' },
    isKept: false,
    why: 'a major that does not fit may be answered with another version',
  },
  {
    path: 'rsc.io/quote/@v/v3.0.0.zip',
    resource: { kind: 'zip', module: 'rsc.io/quote', version: 'v3.0.0' },
    isKept: true,
    why: 'a major that does not fit is for the upstream to refuse',
  },
];

for (const { path, resource, isKept, why } of files) {
  test(`${path}: ${why}`, () => {
    const parsed = parseResource(path);
    assert.ok(parsed !== undefined);
    assert.deepEqual(parsed, resource);
    assert.equal(resourceKey(parsed), path);
    assert.equal(isImmutable(parsed), isKept);
    assert.equal(moduleOf(parsed), resource.module);
  });
}

const noFiles: { path: string; why: string }[] = [
  { path: '', why: 'nothing' },
  { path: 'rsc.io/quote', why: 'a module alone' },
  { path: '@latest', why: 'no module' },
  { path: '@v/list', why: 'no module' },
  { path: 'rsc.io/quote/@v/', why: 'no file' },
  { path: 'rsc.io/quote/@v/v1.5.2', why: 'no ending' },
  { path: 'rsc.io/quote/@v/v1.5.2.ziphash', why: 'what only the module cache has' },
  { path: 'rsc.io/quote/@v/v1.5.2.INFO', why: 'an ending in capitals' },
  { path: 'rsc.io/quote/@v/list/', why: 'a slash behind it' },
  { path: 'rsc.io/quote/@latest/x', why: 'more behind it' },
  { path: 'rsc.io/@v/x/@latest', why: 'two of them' },
  { path: 'rsc.io/quote@v1.5.2/@v/list', why: 'a module with its version' },
  { path: 'sumdb/sum.golang.org/latest', why: 'a checksum database' },
  { path: 'favicon.ico', why: 'a browser' },
];

for (const { path, why } of noFiles) {
  test(`${JSON.stringify(path)} does not have the form of a file: ${why}`, () => {
    assert.equal(parseResource(path), undefined);
  });
}

const malformed: { path: string; why: string }[] = [
  { path: '/rsc.io/quote/@v/list', why: 'a leading slash' },
  { path: '/@latest', why: 'an empty module' },
  { path: 'rsc.io/Quote/@v/list', why: 'a raw capital' },
  { path: 'quote/@v/list', why: 'a host without a dot' },
  { path: 'rsc.io/../etc/@v/list', why: 'dots' },
  { path: 'rsc.io/quote/@v/.info', why: 'no version' },
  { path: 'rsc.io/quote/@v/feature/x.info', why: 'a slash in the version' },
  { path: 'rsc.io/quote/@v/../x.info', why: 'dots in the version' },
  { path: 'rsc.io/quote/@v/master.mod', why: 'mod of a branch' },
  { path: 'rsc.io/quote/@v/v1.5.zip', why: 'zip of a prefix' },
  { path: 'rsc.io/quote/@v/v1.5.2+meta.zip', why: 'zip of a version with a build' },
  { path: 'rsc.io/quote/@v/v1.5.2\n.zip', why: 'a line break' },
  { path: `rsc.io/quote/@v/${'x'.repeat(KEY_LENGTH_MAX)}.info`, why: 'endless' },
];

for (const { path, why } of malformed) {
  test(`${JSON.stringify(path.slice(0, 60))} is malformed: ${why}`, () => {
    assert.throws(() => parseResource(path), BadRequest);
  });
}

const modulePart = fc.stringMatching(/^x\.example(\/[a-z!][a-z0-9_-]{0,6}z){0,3}(\/v[2-9])?$/);
const versionPart = fc.oneof(
  fc.stringMatching(/^v[0-9]\.[0-9]\.[0-9](-[a-z]{1,3})?$/),
  fc.stringMatching(/^[a-z0-9.!~-]{0,6}z$/),
);
const ending = fc.constantFrom('info', 'mod', 'zip');
const likely = fc.oneof(
  fc.tuple(modulePart, versionPart, ending).map(([module, version, end]) => `${module}/@v/${version}.${end}`),
  modulePart.map((module) => `${module}/@v/list`),
  modulePart.map((module) => `${module}/@latest`),
);

test('a path that is read is written back the same: it is its own key', () => {
  let read = 0;
  fc.assert(
    fc.property(fc.oneof(likely, fc.string({ unit: 'binary' })), (path) => {
      try {
        const resource = parseResource(path);
        if (resource === undefined) return;
        assert.equal(resourceKey(resource), path);
        read++;
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(read > 300, `only ${read} paths were any good`);
});
