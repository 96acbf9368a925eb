// Goal: two hosts have one hash only if cgo gets the same from both, and the hash is cheap when nothing has changed.
// Method: this host's real compiler with a directory of headers of its own, before and after a change.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hashHost } from '../../src/plugin/host-headers.ts';
import { tempDir } from '../support/temp-dir.ts';

type Rig = ReturnType<typeof rig>;

function rig(t: TestContext) {
  const directory = tempDir(t);
  const include = join(directory, 'include');
  mkdirSync(join(include, 'sys'), { recursive: true });
  const write = (name: string, text: string) => {
    writeFileSync(join(include, name), text);
    utimesSync(join(include, name), 1e9, 1e9);
  };
  write('value.h', '#define VALUE 1\n');
  const { PATH = '' } = process.env;
  // Only what is below counts: this host's own headers are many.
  const env = { PATH, CC: 'gcc -nostdinc', CXX: 'none', PKG_CONFIG: 'none', CGO_CFLAGS: `-O2 -I${include}` };
  const memo = join(directory, 'memo');
  return { directory, include, write, memo, env, hash: (more = {}) => hashHost({ ...env, ...more }, memo) };
}

test('the same headers give the same hash, whatever their times; the second look reads no contents', async (t) => {
  const { hash, write, memo, include } = rig(t);
  const first = await hash();
  const kept = readFileSync(memo, 'utf8');
  const { atimeNs } = statSync(join(include, 'value.h'), { bigint: true });
  assert.equal(await hash(), first);
  assert.equal(statSync(join(include, 'value.h'), { bigint: true }).atimeNs, atimeNs);
  utimesSync(join(include, 'value.h'), 1.1e9, 1.1e9);
  assert.equal(await hash(), first);
  assert.notEqual(readFileSync(memo, 'utf8'), kept);
  write('value.h', '#define VALUE 1\n');
  assert.equal(await hash(), first);
});

const changes: {
  why: string;
  change: (made: Rig) => Readonly<Record<string, string>> | undefined;
}[] = [
  {
    why: 'another value of equal length',
    change: ({ include, write }) => {
      write('value.h', '#define VALUE 2\n');
      utimesSync(join(include, 'value.h'), 1.2e9, 1.2e9);
      return undefined;
    },
  },
  { why: 'one more header', change: ({ write }) => void write('more.h', '') },
  { why: 'one in a directory below', change: ({ write }) => void write('sys/more.h', '') },
  {
    why: 'one behind a link',
    change: ({ include, directory }) => {
      writeFileSync(join(directory, 'other.h'), '');
      symlinkSync(join(directory, 'other.h'), join(include, 'linked.h'));
      return undefined;
    },
  },
  {
    why: 'one more directory',
    change: ({ directory, env }) => {
      mkdirSync(join(directory, 'second'));
      return { CGO_CFLAGS: `${env.CGO_CFLAGS} -I${join(directory, 'second')}` };
    },
  },
  {
    why: 'a directory in a variable of the compiler',
    change: ({ directory }) => {
      mkdirSync(join(directory, 'third'));
      return { CPATH: join(directory, 'third') };
    },
  },
  {
    why: 'flags of go env -w',
    change: ({ directory }) => {
      mkdirSync(join(directory, 'fourth'));
      writeFileSync(join(directory, 'env'), `CGO_CPPFLAGS=-I${join(directory, 'fourth')}\n`);
      return { GOENV: join(directory, 'env') };
    },
  },
  {
    why: 'a library of pkg-config',
    change: ({ directory }) => {
      writeFileSync(join(directory, 'lib.pc'), 'Cflags: -I/opt/lib\n');
      return { PKG_CONFIG_PATH: directory };
    },
  },
];
for (const { why, change } of changes) {
  test(`another hash: ${why}`, async (t) => {
    const made = rig(t);
    const before = await made.hash();
    assert.notEqual(await made.hash(change(made)), before);
  });
}

test('a compiler that is not there, or is none, gives no hash', async (t) => {
  const { hash } = rig(t);
  for (const CC of ['no-such-compiler', 'true']) await assert.rejects(hash({ CC }), /no-such-compiler|true/);
});
