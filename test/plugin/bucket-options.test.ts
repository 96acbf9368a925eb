// Goal: go-cache-plugin's flags and variables for its bucket mean the same, and a setting that a bucket can't keep is refused.
// Method: tables of settings.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pluginFlags } from '../../src/plugin/flags.ts';
import { findIn, readArgs, readOptions } from '../../src/plugin/options.ts';
import { PluginCache } from '../../src/plugin/plugin-cache.ts';
import { tempDir } from '../support/temp-dir.ts';

const ALL = {
  name: 'corp',
  region: 'eu-north-1',
  endpoint: 'http://pi:9000/',
  isPathStyle: true,
  prefix: 'team/go',
};

for (const { why, flags = {}, env = {}, expected } of [
  { why: 'none', expected: undefined },
  { why: 'a region alone', env: { GOCACHE_S3_REGION: 'x' }, expected: undefined },
  {
    why: 'flags',
    flags: {
      bucket: 'corp',
      region: 'eu-north-1',
      's3-endpoint-url': 'http://pi:9000',
      's3-path-style': 'true',
      prefix: 'team/go',
    },
    expected: ALL,
  },
  {
    why: "go-cache-plugin's variables",
    env: {
      GOCACHE_S3_BUCKET: 'corp',
      GOCACHE_S3_REGION: 'eu-north-1',
      GOCACHE_S3_ENDPOINT_URL: 'http://pi:9000',
      GOCACHE_S3_PATH_STYLE: '1',
      GOCACHE_KEY_PREFIX: 'team/go',
    },
    expected: ALL,
  },
  {
    why: 'a name alone',
    flags: { bucket: 'corp' },
    env: { GOCACHE_S3_BUCKET: 'other' },
    expected: { name: 'corp', region: undefined, endpoint: undefined, isPathStyle: false, prefix: '' },
  },
]) {
  test(`a bucket of ${why}`, () => {
    const { bucket } = readOptions(findIn(flags, env));
    assert.deepEqual(bucket && { ...bucket, endpoint: bucket.endpoint?.href }, expected);
  });
}

for (const { flags, message } of [
  { flags: { remote: 'http://pi' }, message: /^--remote does not go with --bucket: set one of them$/ },
  { flags: { namespace: 'pr/7' }, message: /^--namespace does not go with --bucket: set another --prefix$/ },
  { flags: { 'share-cgo': 'same-host' }, message: /^--share-cgo=same-host does not go with --bucket/ },
  {
    flags: { bucket: 'x/y' },
    message: /^bad value for --bucket: "x\/y": expected the name of a bucket, of 3 to 63 characters$/,
  },
  { flags: { prefix: '../x' }, message: /^bad value for --prefix: "..\/x": expected / },
  {
    flags: { 's3-endpoint-url': 'http://u:p@pi' },
    message: /^bad value for --s3-endpoint-url: "http:\/\/…@pi": expected /,
  },
]) {
  test(`refused beside a bucket: ${JSON.stringify(flags)}`, () => {
    assert.throws(() => readOptions(findIn({ bucket: 'corp', ...flags }, {})), {
      name: 'UsageError',
      message,
    });
  });
}

test('each flag is read by its name, with a value of its own or behind it', () => {
  for (const { name, isSwitch } of pluginFlags) {
    const forms = [[`--${name}=true`], [`-${name}`, ...(isSwitch === true ? [] : ['true'])]];
    for (const form of forms)
      assert.deepEqual(readArgs(form, pluginFlags), { flags: { [name]: 'true' }, words: [] });
  }
});

test('a bucket without keys is refused at the start', (t) => {
  const options = readOptions(findIn({ bucket: 'corp', 'cache-dir': join(tempDir(t), 'cache') }, {}));
  assert.throws(() => new PluginCache(options, assert.fail, { HOME: tempDir(t) }), {
    name: 'UsageError',
    message: /^cannot use --bucket: no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
  });
});
