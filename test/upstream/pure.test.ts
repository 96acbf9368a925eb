// Goal: what the pure parts of the room say: headers, redirects, Via, paths, tails, shown text.
// Method: tables; the tail against a plain model with fast-check.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest, Loop } from '../../src/core/errors.ts';
import { nextVia } from '../../src/core/via.ts';
import {
  contentRange,
  ifRange,
  isChanged,
  isSame,
  retryAfterMs,
  validatorOf,
} from '../../src/upstream/answer.ts';
import { cannotFetch, oneLine } from '../../src/upstream/redact.ts';
import { nextStep } from '../../src/upstream/redirect.ts';
import { Tail } from '../../src/upstream/tail.ts';
import { checkPath, encodePath } from '../../src/upstream/url-path.ts';

const ranges: { value: string; range?: (number | undefined)[]; why: string }[] = [
  { value: 'bytes 5-9/10', range: [5, 9, 10], why: 'plain' },
  { value: 'bytes 5-9/*', range: [5, 9, undefined], why: 'size not known' },
  { value: 'bytes */10', range: [undefined, undefined, 10], why: 'of a 416' },
  { value: 'bytes */*', why: 'says nothing' },
  { value: 'bytes 9-5/10', why: 'backwards' },
  { value: 'bytes 5-10/10', why: 'past the end' },
  { value: 'bytes 5-9/10, 0-1/10', why: 'two ranges' },
  { value: 'bytes=5-9/10', why: 'the form of a request' },
  { value: 'Bytes 5-9/10', why: 'units have a case' },
  { value: ' bytes 5-9/10', why: 'blank before' },
  { value: 'bytes 5-9999999999999999999/10', why: 'no number that can be' },
  { value: '', why: 'empty' },
];
for (const { value, range, why } of ranges) {
  test(`contentRange: ${why}`, () => {
    const read = contentRange({ 'content-range': value });
    const [first, last, size] = range ?? [];
    assert.deepEqual(read, range === undefined ? undefined : { first, last, size });
  });
}

test('a weak ETag is no condition for a range, a date is', () => {
  assert.equal(ifRange({ etag: 'W/"a"' }), undefined);
  assert.equal(ifRange({ etag: 'W/"a"', lastModified: 'Mon' }), 'Mon');
  assert.equal(ifRange({ etag: '"a"', lastModified: 'Mon' }), '"a"');
});

const validators: { a: object; b: object; same: boolean; changed: boolean; why: string }[] = [
  { a: { etag: '"x"' }, b: { etag: '"x"' }, same: true, changed: false, why: 'strong and equal' },
  { a: { etag: 'W/"x"' }, b: { etag: 'W/"x"' }, same: false, changed: false, why: 'weak proves nothing' },
  { a: { etag: '"x"' }, b: { etag: '"y"' }, same: false, changed: true, why: 'another tag' },
  { a: { lastModified: 'Mon' }, b: { lastModified: 'Tue' }, same: false, changed: true, why: 'another date' },
  {
    a: { etag: '"x"', lastModified: 'Mon' },
    b: { etag: '"x"', lastModified: 'Tue' },
    same: true,
    changed: false,
    why: 'mirrors differ in dates',
  },
  { a: { etag: '"x"' }, b: {}, same: false, changed: false, why: 'nothing said' },
];
for (const { a, b, same, changed, why } of validators) {
  test(`validators: ${why}`, () => {
    assert.equal(isSame(a, b), same);
    assert.equal(isChanged(a, b), changed);
  });
}

test('a validator that could not be sent back is not kept', () => {
  assert.deepEqual(validatorOf({ etag: '"a\u00e9"', 'last-modified': 'x'.repeat(300) }), {});
});

test('Retry-After: seconds count, dates and nonsense do not', () => {
  assert.equal(retryAfterMs({ 'retry-after': '2' }), 2000);
  assert.equal(retryAfterMs({ 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' }), 0);
  assert.equal(retryAfterMs({ 'retry-after': '-1' }), 0);
});

const steps: {
  passed: string[];
  location: string | undefined;
  url?: string;
  refused?: RegExp;
  why: string;
}[] = [
  { passed: ['https://a.example/x'], location: '/y', url: 'https://a.example/y', why: 'relative' },
  {
    passed: ['http://a.example/x'],
    location: 'https://b.example/',
    url: 'https://b.example/',
    why: 'up to https',
  },
  {
    passed: ['https://a.example/x'],
    location: 'http://a.example/x',
    refused: /https to http/,
    why: 'down to http',
  },
  {
    passed: ['https://a.example/'],
    location: '//u:p@b.example/#f',
    url: 'https://b.example/',
    why: 'no userinfo',
  },
  ...[
    'https://127.0.0.1/',
    'https://127.9.9.9/',
    'https://[::1]/',
    'https://localhost/',
    'https://x.localhost./',
  ].map((location) => ({
    passed: ['https://a.example/'],
    location,
    refused: /this machine/,
    why: `loopback: ${location}`,
  })),
  ...['https://169.254.169.254/', 'https://[fe80::1]/', 'https://[::ffff:169.254.1.1]/'].map((location) => ({
    ...{ passed: ['https://10.0.0.1/'], location, refused: /its own link/, why: `link-local: ${location}` },
  })),
  ...['https://0.0.0.0/', 'https://[::]/', 'https://2130706433/', 'https://0x7f.1/'].map((location) => ({
    ...{
      passed: ['https://a.example/'],
      location,
      refused: /this machine/,
      why: `as good as loopback: ${location}`,
    },
  })),
  {
    passed: ['https://a.example/', 'https://b.example/'],
    location: 'https://127.0.0.1/',
    refused: /this machine/,
    why: 'loopback, by a way round',
  },
  {
    passed: ['https://a.example/'],
    location: 'https://10.0.0.1/',
    url: 'https://10.0.0.1/',
    why: 'a private address may be an upstream’s own file host',
  },
  {
    passed: ['http://127.0.0.1:1/'],
    location: 'http://127.0.0.1:2/',
    url: 'http://127.0.0.1:2/',
    why: 'an upstream on this machine may send us to this machine',
  },
  {
    passed: ['http://localhost:1/'],
    location: 'http://[::1]:2/',
    url: 'http://[::1]:2/',
    why: 'by any name',
  },
  { passed: ['https://a.example/x'], location: '/x', refused: /circle/, why: 'itself' },
  {
    passed: ['https://a.example/x', 'https://a.example/y'],
    location: '/x',
    refused: /circle/,
    why: 'back again',
  },
  { passed: ['https://a.example/'], location: 'file:///etc/passwd', refused: /scheme/, why: 'a file' },
  { passed: ['https://a.example/'], location: 'https://[', refused: /bad URL/, why: 'no URL' },
  { passed: ['https://a.example/'], location: undefined, refused: /without Location/, why: 'nowhere' },
  {
    passed: Array.from({ length: 11 }, (_, i) => `https://a.example/${i}`),
    location: '/11',
    refused: /over 10/,
    why: 'the eleventh',
  },
  {
    passed: Array.from({ length: 10 }, (_, i) => `https://a.example/${i}`),
    location: '/10',
    url: 'https://a.example/10',
    why: 'the tenth',
  },
];
for (const { passed, location, url, refused, why } of steps) {
  test(`redirect: ${why}`, () => {
    const step = nextStep(
      passed.map((each) => new URL(each)),
      location,
    );
    if ('url' in step) assert.equal(step.url.href, url);
    else assert.match(step.refused, refused ?? /^$/);
  });
}

test('a refused redirect shows neither userinfo nor query', () => {
  const step = nextStep([new URL('https://a.example/')], 'http://me:s3cret@b.example/?sig=s3cret');
  assert.ok('refused' in step);
  assert.doesNotMatch(step.refused, /s3cret/);
});

const vias: { via: string | undefined; next?: string; why: string }[] = [
  { via: undefined, next: '1.1 astera-me', why: 'none yet' },
  { via: ' ', next: '1.1 astera-me', why: 'an empty one' },
  { via: '1.1 squid (x)', next: '1.1 squid (x), 1.1 astera-me', why: 'behind another proxy' },
  {
    via: '1.1 astera-a, 1.1 astera-b, 1.1 astera-c',
    next: '1.1 astera-a, 1.1 astera-b, 1.1 astera-c, 1.1 astera-me',
    why: 'three others',
  },
  { via: '1.1 astera-a,1.1 astera-b,1.1 astera-c,1.1 astera-d', why: 'four others' },
  { via: '1.1 x, 1.1 ASTERA-me', why: 'ourselves' },
  { via: '1.1 astera-me-too', next: '1.1 astera-me-too, 1.1 astera-me', why: 'one that is called nearly so' },
  { via: 'x'.repeat(1025), why: 'longer than any chain of proxies' },
  { via: '1.1 a\r\nX: y', next: '1.1 a X: y, 1.1 astera-me', why: 'no header can be smuggled' },
];
for (const { via, next, why } of vias) {
  test(`nextVia: ${why}`, () => {
    if (next === undefined) assert.throws(() => nextVia(via, 'me'), Loop);
    else assert.equal(nextVia(via, 'me'), next);
  });
}

const paths: { path: string; encoded?: string; why: string }[] = [
  {
    path: 'github.com/!azure/x/@v/v1.0.0.mod',
    encoded: 'github.com/%21azure/x/@v/v1.0.0.mod',
    why: 'as go sends it',
  },
  { path: 'a.b/@v/v1.0.0+incompatible.zip', encoded: 'a.b/@v/v1.0.0+incompatible.zip', why: 'left alone' },
  {
    path: "a.b/$&+=:@-_.~/?#%,;'()* ü",
    encoded: 'a.b/$&+=:@-_.~/%3F%23%25%2C%3B%27%28%29%2A%20%C3%BC',
    why: 'as url.PathEscape',
  },
  { path: 'a/../b', why: 'up' },
  { path: 'a/./b', why: 'dot' },
  { path: '/a', why: 'absolute' },
  { path: 'a//b', why: 'empty element' },
  { path: 'a/', why: 'a directory' },
  { path: '', why: 'empty' },
  { path: 'a\\..\\b', why: 'backslash' },
  { path: 'a\0', why: 'NUL' },
  { path: 'a\ud800', why: 'lone surrogate' },
];
for (const { path, encoded, why } of paths) {
  test(`path: ${why}`, () => {
    if (encoded === undefined) {
      assert.throws(() => checkPath(path), BadRequest);
      return;
    }
    checkPath(path);
    assert.equal(encodePath(path), encoded);
  });
}

test("an upstream's words become one graphic line of bounded length, without userinfo", () => {
  assert.equal(oneLine(' a\n\tb\u0007\u202ec \n'), 'a b c');
  assert.equal(oneLine('x'.repeat(1000)).length, 400);
  assert.equal(oneLine('see https://me:pw@a.example/x'), 'see https://a.example/x');
  assert.equal(cannotFetch('a', 'b.example', 'c\nd'), 'cannot fetch "a" from b.example: c d');
});

test('Tail: is the end of all that was pushed, and knows it again', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 });
  fc.assert(
    fc.property(pieces, fc.nat(40), (pushed, extra) => {
      const tail = new Tail(8);
      for (const piece of pushed) tail.push(piece);
      const all = Buffer.concat(pushed);
      assert.equal(tail.length, Math.min(8, all.byteLength));
      const from = Math.max(all.byteLength - extra, 0);
      const again = Uint8Array.from(all.subarray(from));
      assert.ok(tail.matches(again, from - all.byteLength));
      if (again.byteLength === 0) return;
      again[again.byteLength - 1] = 255 - (again.at(-1) ?? 0);
      assert.ok(!tail.matches(again, from - all.byteLength));
    }),
  );
});
