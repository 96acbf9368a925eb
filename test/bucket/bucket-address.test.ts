// Goal: a bucket is asked for where S3 and go-cache-plugin have it, and nothing that leads elsewhere is taken for one.
// Method: tables. Rows on hosts follow AWS' documentation of virtual hosting; keys follow Go's path.Join.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bucketUrl,
  inRegion,
  keyPath,
  parseBucketName,
  parseEndpoint,
  parsePrefix,
} from '../../src/bucket/bucket-address.ts';

for (const { why, name = 'bucket', endpoint, isPathStyle = false, url } of [
  { why: 'AWS', url: 'https://bucket.s3.eu-north-1.amazonaws.com/' },
  { why: 'AWS, by path', isPathStyle: true, url: 'https://s3.eu-north-1.amazonaws.com/bucket' },
  { why: 'dots fit no certificate', name: 'a.b.c', url: 'https://s3.eu-north-1.amazonaws.com/a.b.c' },
  { why: 'capitals fit no host', name: 'Bucket', url: 'https://s3.eu-north-1.amazonaws.com/Bucket' },
  { why: 'another server', endpoint: 'https://s3.example.com', url: 'https://bucket.s3.example.com/' },
  {
    why: 'another server, by path',
    endpoint: 'http://pi:9000/',
    isPathStyle: true,
    url: 'http://pi:9000/bucket',
  },
  { why: 'below a path', endpoint: 'http://pi/s3/', isPathStyle: true, url: 'http://pi/s3/bucket' },
  {
    why: 'an address has no names below it',
    endpoint: 'http://127.0.0.1:9',
    url: 'http://127.0.0.1:9/bucket',
  },
  { why: 'nor has one of IPv6', endpoint: 'http://[::1]:9', url: 'http://[::1]:9/bucket' },
]) {
  test(`the bucket's URL: ${why}`, () => {
    const at = endpoint === undefined ? undefined : parseEndpoint(endpoint);
    assert.equal(bucketUrl({ name, region: 'eu-north-1', endpoint: at, isPathStyle, prefix: '' }).href, url);
  });
}

for (const { prefix, path } of [
  { prefix: '', path: '/output/ab/abcd' },
  { prefix: 'team', path: '/team/output/ab/abcd' },
  { prefix: 'team/go/', path: '/team/go/output/ab/abcd' },
  { prefix: '/team//./go', path: '/team/go/output/ab/abcd' },
  { prefix: 'a+b=c', path: '/a%2Bb%3Dc/output/ab/abcd' },
]) {
  test(`a key below the prefix ${JSON.stringify(prefix)}`, () => {
    assert.equal(keyPath(parsePrefix(prefix), 'output/ab/abcd'), path);
  });
}

for (const { parse, text } of [
  ...['', 'ab', '../x', 'a/b', 'a..b', '-ab', 'a b', 'a@b', 'a?b', 'x'.repeat(64)].map((text) => ({
    parse: parseBucketName,
    text,
  })),
  ...['..', 'a/../b', 'a b', 'ä', 'a\n', 'a?b', 'a%2e', 'x'.repeat(513)].map((text) => ({
    parse: parsePrefix,
    text,
  })),
  ...['', 'pi:9000', 'ftp://pi', 'http://user:secret@pi', 'http://pi/?x', 'http://pi/#x'].map((text) => ({
    parse: parseEndpoint,
    text,
  })),
]) {
  test(`${parse.name} refuses ${JSON.stringify(text.slice(0, 30))}`, () => assert.throws(() => parse(text)));
}

for (const { region, env, expected } of [
  { region: 'eu-north-1', env: { AWS_REGION: 'us-west-2' }, expected: 'eu-north-1' },
  { region: undefined, env: { AWS_REGION: 'us-west-2', AWS_DEFAULT_REGION: 'x' }, expected: 'us-west-2' },
  { region: undefined, env: { AWS_REGION: '', AWS_DEFAULT_REGION: 'us-west-1' }, expected: 'us-west-1' },
  { region: undefined, env: {}, expected: 'us-east-1' },
]) {
  test(`the region of ${JSON.stringify({ region, ...env })} is ${expected}`, () => {
    const settings = { name: 'bucket', endpoint: undefined, isPathStyle: false, prefix: '' };
    assert.equal(inRegion({ ...settings, region }, env).region, expected);
  });
}

test('a region that leads to another host is refused', () => {
  const settings = { name: 'bucket', region: undefined, endpoint: undefined, isPathStyle: false, prefix: '' };
  assert.throws(
    () => inRegion(settings, { AWS_REGION: 'x.corp.example/' }),
    /^UsageError: bad value for AWS_REGION/,
  );
});
