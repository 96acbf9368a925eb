// Goal: a place in compiled code is named by its source, in esbuild's files as in tsc's.
// Method: files as each of the two writes them.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BundledSources } from '../../src/observe/bundled-sources.ts';
import { tempDir } from '../support/temp-dir.ts';

const bundled = `import { createRequire } from 'node:module';

// src/core/quote.ts
function quote(text) {
  // src/of/no-source.ts, as a comment inside
  return text;
}

// .cache/bundle/node22/linux-x64/node_modules/undici/lib/agent.js
var agent = 1;

// node_modules/yargs/index.mjs
var yargs = 2;
`;

test('a place is of the source that was named last before it', (t) => {
  const dist = `${tempDir(t)}/`;
  const path = join(dist, 'parts/command-line.js');
  mkdirSync(join(dist, 'parts'));
  writeFileSync(path, bundled);
  const sources = new BundledSources(dist);
  assert.equal(sources.sourceOf(path, 0), undefined);
  assert.equal(sources.sourceOf(path, 2), 'src/core/quote.ts');
  assert.equal(sources.sourceOf(path, 6), 'src/core/quote.ts');
  assert.equal(sources.sourceOf(path, 9), '.cache/bundle/node22/linux-x64/node_modules/undici/lib/agent.js');
  assert.equal(sources.sourceOf(path, 12), 'node_modules/yargs/index.mjs');
});

test('a file that tsc made has one source, and others have none', (t) => {
  const dist = `${tempDir(t)}/`;
  mkdirSync(join(dist, 'front'));
  writeFileSync(join(dist, 'front/server.js'), 'export const server = 1;\n');
  const sources = new BundledSources(dist);
  assert.equal(sources.sourceOf(join(dist, 'front/server.js'), 0), 'src/front/server.ts');
  assert.equal(sources.sourceOf('/elsewhere/server.js', 0), undefined);
});
