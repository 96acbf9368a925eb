// Goal: a private module is asked of its own sources alone, and the last source of each order decides.
// Method: sources that give the test's answers and record their requests.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Forbidden, NotFound, UpstreamDown } from '../../src/core/errors.ts';
import type { FetchEvent, ModuleRequest, ModuleSource, SourceName } from '../../src/core/ports.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import { Sources } from '../../src/modules/sources.ts';

class OneFile implements ModuleSource {
  readonly name: SourceName;
  readonly isDown = false;
  readonly asked: string[] = [];
  readonly #says: string | Error;

  constructor(name: SourceName, says: string | Error) {
    this.name = name;
    this.#says = says;
  }

  async head({ path }: ModuleRequest) {
    return { size: this.#say(path).byteLength, upstream: this.name };
  }

  async whole({ path }: ModuleRequest) {
    return { bytes: this.#say(path), upstream: this.name };
  }

  async *stream({ path }: ModuleRequest): AsyncGenerator<FetchEvent> {
    const bytes = this.#say(path);
    yield { kind: 'start', offset: 0, size: bytes.byteLength, validator: {}, upstream: this.name };
    yield { kind: 'bytes', bytes };
  }

  #say(path: string): Uint8Array {
    this.asked.push(path);
    if (typeof this.#says !== 'string') throw this.#says;
    return new TextEncoder().encode(this.#says);
  }
}

const PUBLIC = 'example.com/x/@v/v1.0.0.mod';
const PRIVATE = 'corp.example/x/@v/v1.0.0.mod';

function resourceOf(path: string): Resource {
  const resource = parseResource(path);
  assert.ok(resource);
  return resource;
}

function requestOf(path: string): ModuleRequest {
  return { resource: resourceOf(path), path, bytesMax: 100 };
}

function rig(says: { bucket: string | Error; upstream: string | Error; git?: string | Error }) {
  const bucket = new OneFile('bucket', says.bucket);
  const upstream = new OneFile('upstream', says.upstream);
  const git = says.git === undefined ? undefined : new OneFile('git', says.git);
  const inside = git === undefined ? [] : [git];
  const sources = new Sources({ noProxyPatterns: 'corp.example', outside: [bucket, upstream], inside });
  return { bucket, upstream, git, sources };
}

const gone = new NotFound('not there');

test('the first source that has a file gives it, and no later one is asked', async () => {
  const { sources, upstream } = rig({ bucket: 'kept', upstream: 'fresh' });
  assert.equal((await sources.whole(requestOf(PUBLIC))).source, 'bucket');
  assert.deepEqual(upstream.asked, []);
});

test('after any failure of an earlier source the next one is asked', async () => {
  for (const bucket of [gone, new UpstreamDown('silent')]) {
    const { sources } = rig({ bucket, upstream: 'fresh' });
    const { bytes, source } = await sources.whole(requestOf(PUBLIC));
    assert.deepEqual([Buffer.from(bytes).toString(), source], ['fresh', 'upstream']);
    assert.deepEqual(await sources.head(requestOf(PUBLIC)), {
      size: 5,
      upstream: 'upstream',
      source: 'upstream',
    });
  }
});

test('the 404 of the last source is the answer', async () => {
  const { sources } = rig({ bucket: new UpstreamDown('silent'), upstream: gone });
  await assert.rejects(sources.whole(requestOf(PUBLIC)), NotFound);
  assert.equal(sources.decisive(resourceOf(PUBLIC)), 'upstream');
});

test('a stream names the source of its bytes', async () => {
  const { sources } = rig({ bucket: gone, upstream: 'fresh' });
  const seen: string[] = [];
  for await (const event of sources.stream(requestOf(PUBLIC))) {
    seen.push(event.kind === 'start' ? event.source : Buffer.from(event.bytes).toString());
  }
  assert.deepEqual(seen, ['upstream', 'fresh']);
});

test('no proxy hears of a private module', async () => {
  const { sources, bucket, upstream } = rig({ bucket: 'kept', upstream: 'fresh', git: gone });
  await assert.rejects(sources.whole(requestOf(PRIVATE)), NotFound);
  await assert.rejects(sources.stream(requestOf(PRIVATE)).next(), NotFound);
  await assert.rejects(sources.head(requestOf(PRIVATE)), NotFound);
  assert.deepEqual([...bucket.asked, ...upstream.asked], []);
});

test('a private module without a source of its own is forbidden', async () => {
  const { sources, upstream } = rig({ bucket: 'kept', upstream: 'fresh' });
  await assert.rejects(sources.whole(requestOf(PRIVATE)), Forbidden);
  assert.throws(() => sources.of(resourceOf(PRIVATE)), Forbidden);
  assert.deepEqual(upstream.asked, []);
});

test('a route puts another source in the place of the last one, and the first that matches counts', async () => {
  const bucket = new OneFile('bucket', gone);
  const [usual, first, second] = ['usual', 'first', 'second'].map((says) => new OneFile('upstream', says));
  assert.ok(usual && first && second);
  const to = (pattern: string, source: ModuleSource) => ({
    matches: (module: string) => module.startsWith(pattern),
    source,
  });
  const sources = new Sources({
    noProxyPatterns: 'example.com/private',
    outside: [bucket, usual],
    inside: [new OneFile('git', 'git')],
    routes: [to('example.com/x', first), to('example.com', second)],
  });
  const said = async (path: string) => Buffer.from((await sources.whole(requestOf(path))).bytes).toString();
  assert.equal(await said(PUBLIC), 'first');
  assert.equal(await said('example.com/y/@v/list'), 'second');
  assert.equal(await said('example.org/x/@v/list'), 'usual');
  assert.equal(
    await said('example.com/private/x/@v/list'),
    'git',
    'no route leads a private module to a proxy',
  );
  assert.equal(bucket.asked.length, 3, 'an earlier source is asked all the same');
});
