// Goal: answers are byte for byte those of the upstream, for every file of a real corpus.
// Method: every file through Astera three times: cold, warm, and out of the store of a restarted,
// offline server; HEAD, conditional and range requests on a sample.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Astera } from '../support/astera.ts';
import { type CorpusFile, corpusFiles, ensureCorpus } from '../support/corpus.ts';
import { LocalUpstream } from '../support/local-upstream.ts';

const AT_ONCE = 16;
const SAMPLE_STEP = 25;

let root: string;
let files: CorpusFile[];
let upstream: LocalUpstream;
let astera: Astera;

before(async () => {
  root = await ensureCorpus();
  files = corpusFiles(root);
  upstream = await LocalUpstream.start({ root });
  astera = await Astera.start({ upstream: upstream.url });
});

after(async () => {
  await astera.dispose();
  await upstream.close();
});

test('the corpus has at least 500 module versions', () => {
  const versions = new Set(files.map(({ path }) => path.replace(/\.(info|mod|zip)$/, '')));
  assert.ok(versions.size >= 500, `${versions.size} module versions`);
});

test('every file is the same, cold', () => compareAll(astera));

test('every file is the same, warm, and the upstream was asked once', async () => {
  await compareAll(astera);
  const { requests } = upstream.counters;
  assert.equal(Object.keys(requests).length, files.length);
  assert.deepEqual(
    Object.entries(requests).filter(([, times]) => times !== 1),
    [],
  );
});

test('HEAD says what GET says, without a body', async () => {
  for (const { path, size } of sample()) {
    const head = await astera.get(path, { method: 'HEAD' });
    assert.equal(head.status, 200, path);
    assert.equal(head.headers.get('content-length'), String(size), path);
    assert.equal((await head.arrayBuffer()).byteLength, 0);
    const got = await astera.get(path);
    await got.arrayBuffer();
    assert.equal(got.headers.get('etag'), head.headers.get('etag'), path);
    assert.equal(got.headers.get('content-type'), head.headers.get('content-type'), path);
  }
});

test('the ETag is the SHA-256 of the content; If-None-Match with it is 304', async () => {
  for (const { path } of sample()) {
    const sha256 = createHash('sha256').update(onDisk(path)).digest('hex');
    const head = await astera.get(path, { method: 'HEAD' });
    const etag = head.headers.get('etag') ?? '';
    assert.ok(etag.includes(sha256), `${path}: ${etag}`);
    const same = await astera.get(path, { headers: { 'if-none-match': etag } });
    assert.equal(same.status, 304, path);
    assert.equal((await same.arrayBuffer()).byteLength, 0);
    const other = await astera.get(path, { headers: { 'if-none-match': '"other"' } });
    assert.equal(other.status, 200, path);
    await other.arrayBuffer();
  }
});

test('what cannot change may be kept for a year', async () => {
  for (const { path } of sample()) {
    const head = await astera.get(path, { method: 'HEAD' });
    assert.match(head.headers.get('cache-control') ?? '', /max-age=31536000.*immutable/, path);
  }
});

test('single ranges are 206 with their bytes, ranges past the end 416', async () => {
  for (const { path, size } of sample()) {
    const whole = onDisk(path);
    const ranges: readonly { range: string; start: number; end: number }[] = [
      { range: 'bytes=0-0', start: 0, end: 1 },
      { range: `bytes=${size >> 1}-`, start: size >> 1, end: size },
      { range: 'bytes=-7', start: size - 7, end: size },
      { range: `bytes=3-${size + 1000}`, start: 3, end: size },
    ];
    for (const { range, start, end } of ranges) {
      const part = await astera.get(path, { headers: { range } });
      assert.equal(part.status, 206, `${path} ${range}`);
      assert.equal(part.headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`);
      assert.ok(whole.subarray(start, end).equals(Buffer.from(await part.arrayBuffer())), `${path} ${range}`);
    }
    const past = await astera.get(path, { headers: { range: `bytes=${size}-` } });
    assert.equal(past.status, 416, path);
    assert.equal(past.headers.get('content-range'), `bytes */${size}`);
    await past.arrayBuffer();
  }
});

test('every file is the same out of the store of a restarted, offline server', async () => {
  await astera.stop();
  const restarted = await Astera.start({ upstream: upstream.url, db: astera.db, flags: ['--offline'] });
  try {
    upstream.resetCounters();
    await compareAll(restarted);
    assert.deepEqual(upstream.counters.requests, {});
    await restarted.stop();
  } finally {
    await restarted.dispose();
  }
});

/** Every file, some at a time, compared with the disk. */
async function compareAll(server: Astera): Promise<void> {
  const rest = files.values();
  const wrong: string[] = [];
  const one = async () => {
    for (const { path } of rest) {
      try {
        const answer = await server.get(path);
        const bytes = Buffer.from(await answer.arrayBuffer());
        if (answer.status !== 200 || !bytes.equals(onDisk(path))) wrong.push(`${path}: ${answer.status}`);
      } catch (error) {
        wrong.push(`${path}: ${error} (${(error as Error).cause})`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  assert.deepEqual(wrong, []);
}

/** Some of every kind, and the largest. */
function sample(): CorpusFile[] {
  const largest = files.reduce((a, b) => (a.size > b.size ? a : b));
  return [...files.filter((_, at) => at % SAMPLE_STEP === 0), largest];
}

function onDisk(path: string): Buffer {
  return readFileSync(join(root, path));
}
