/**
 * Goal: a zip is accepted if and only if the `go` command can use it, with the same h1.
 * Method: a `file:` GOPROXY of awkward module zips. One `go mod download -json` judges them all, and `hashZip` must
 * agree. Rows follow golang.org/x/mod/zip and archive/zip.
 */

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { CheckFailed } from '../../src/core/errors.ts';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import { runGo, withDirectory } from './go.ts';
import { chunkSource, makeZip, type TestEntry, type TestZip } from './zip-writer.ts';

type Row = {
  readonly why: string;
  readonly verdict: 'taken' | 'refused';
  readonly entries: readonly TestEntry[];
  readonly zip?: TestZip;
  /** Stands in names for the module's own `path@version/`. */
  readonly foreign?: boolean;
};

const f = (name: string, more: Partial<TestEntry> = {}): TestEntry => ({
  name,
  content: `in ${name}\n`,
  ...more,
});
const taken = (why: string, entries: TestEntry[], zip?: TestZip): Row => row('taken', why, entries, zip);
const refused = (why: string, entries: TestEntry[], zip?: TestZip): Row => row('refused', why, entries, zip);

function row(verdict: Row['verdict'], why: string, entries: TestEntry[], zip?: TestZip): Row {
  return zip === undefined ? { verdict, why, entries } : { verdict, why, entries, zip };
}

const MiB = 1024 * 1024;
const TRAILING = Buffer.concat([deflateRawSync('in a.go\n'), Buffer.from('trailing')]);
const LONG_TRAILING = Buffer.concat([deflateRawSync(Buffer.alloc(9 * MiB)), Buffer.alloc(MiB, 'x')]);

const rows: readonly Row[] = [
  taken('ordinary files', [f('go.mod'), f('a.go'), f('sub/b.go')]),
  taken('no go.mod', [f('a.go')]),
  taken('nothing at all', []),
  taken('an empty file', [f('a.go', { content: '' })]),
  taken('an empty stored file', [f('a.go', { content: '', method: 0 })]),
  taken('stored', [f('a.go', { method: 0 })]),
  taken('a file of 20 MB, which is read piece by piece', [
    f('big', { content: Buffer.alloc(20 * MiB, 'go ') }),
  ]),
  taken('a stored file of 9 MB', [f('big', { content: Buffer.alloc(9 * MiB, 'go '), method: 0 })]),
  taken('names in any order', [f('z.go'), f('a/b.go'), f('a.go'), f('a-b.go'), f('A_.go')]),
  taken('names that are not ASCII', [f('größe.go'), f('文字/字.go'), f('ñ')]),
  taken('names that UTF-16 sorts otherwise than UTF-8', [f('𐐀.go'), f('ﬀ.go'), f('\uffdc.go')]),
  taken('all punctuation that is allowed', [f('a !#$%&()+,-.=@[]^_{}~0')]),
  taken('names with dots', [f('.hidden'), f('..a'), f('a..b/...c')]),
  taken('vendor and testdata are names like others here', [f('vendor/x/y.go'), f('testdata/go.sum')]),
  taken('names that hold a device only as a part', [f('console'), f('nul_x'), f('com10'), f('com/a')]),
  taken('ss and ß are two names', [f('ss'), f('ß')]),
  taken('i, ı and İ are three names', [f('i'), f('ı'), f('İ')]),
  taken('a letter with and without its accent', [f('é'), f('e')]),
  taken('directories, which are hashed by name', [
    f('d/', { content: '' }),
    f('d/a.go'),
    f('e/', { content: '' }),
  ]),
  taken('a directory twice', [f('d/', { content: '' }), f('d/', { content: '' })]),
  taken("the module's own directory", [f('', { content: '' }), f('a.go')]),
  taken('a directory with a body, as Java writes it', [f('d/', { content: '', method: 8 })]),
  taken('data descriptors', [f('a.go', { descriptor: 'signed' }), f('b.go', { descriptor: 'bare' })]),
  taken('zip64 throughout', [f('a.go', { zip64: true })], { zip64: 'only' }),
  taken('zip64 end record that is not needed', [f('a.go')], { zip64: 'beside' }),
  taken('a comment', [f('a.go')], { comment: 'PK\x05\x05' }),
  taken('bytes behind the end', [f('a.go')], { trailing: Buffer.alloc(9) }),
  taken('bytes behind a deflate stream', [f('a.go', { body: TRAILING })]),
  taken('the same of a large file', [f('a.go', { content: Buffer.alloc(9 * MiB), body: LONG_TRAILING })]),
  taken('no checksum, and no descriptor that says so', [f('a.go', { crc: 0 })]),
  taken('go.mod as large as may be', [f('go.mod', { content: Buffer.alloc(16 * MiB, '\n') })]),
  refused('go.mod larger', [f('go.mod', { content: Buffer.alloc(16 * MiB + 1, '\n') })]),
  refused('LICENSE larger', [f('LICENSE', { content: Buffer.alloc(16 * MiB + 1, '\n') })]),
  taken('LICENSE larger, but below', [f('a/LICENSE', { content: Buffer.alloc(16 * MiB + 1, '\n') })]),
  refused('go.mod below the root', [f('go.mod'), f('sub/go.mod')]),
  refused('go.mod below the root in capitals', [f('sub/GO.mod')]),
  refused('go.mod in capitals', [f('Go.Mod')]),
  taken('a directory that is called go.mod', [f('sub/go.mod/', { content: '' })]),
  refused('one name twice', [f('a.go'), f('a.go')]),
  refused('names that differ by case', [f('a.go'), f('A.go')]),
  refused('directories that differ by case', [f('a/x'), f('A/y')]),
  refused('names that differ by the case of é', [f('é'), f('É')]),
  refused('k and the Kelvin sign', [f('k'), f('\u212a')]),
  refused('s and the long s', [f('s'), f('ſ')]),
  refused('ß and its capital', [f('ß'), f('ẞ')]),
  refused('three forms of sigma', [f('σ'), f('ς')]),
  refused('capitals beyond 16 bits', [f('𐐀'), f('𐐨')]),
  refused('a file that is a directory too', [f('a'), f('a/b')]),
  refused('a directory that is a file too', [f('a/b'), f('a')]),
  refused('a directory entry beside a file', [f('a'), f('a/', { content: '' })]),
  refused('up and away', [f('../a.go')]),
  refused('up and away further in', [f('a/../../b')]),
  refused('from the root', [f('/etc/passwd')]),
  refused('dots', [f('./a')]),
  refused('three dots', [f('...')]),
  refused('two slashes', [f('a//b')]),
  refused('a directory of two slashes', [f('a//', { content: '' })]),
  refused('a trailing dot', [f('a.')]),
  refused('a trailing dot of a directory', [f('a./b')]),
  refused('backslash', [f('a\\b')]),
  refused('colon', [f('c:a')]),
  ...[...`"'*<>?\`|;`].map((character) => refused(`character ${character}`, [f(`a${character}`)])),
  refused('newline', [f('a\nb')]),
  refused('NUL', [f('a\0')]),
  refused('a combining accent', [f('e\u0301')]),
  refused('a digit that is not ASCII', [f('٣')]),
  refused('an emoji', [f('🙂')]),
  refused('not UTF-8', [{ name: Buffer.from('\xff', 'latin1') }]),
  refused('a device', [f('con')]),
  refused('a device with an ending', [f('d/Aux.go')]),
  refused('a device with two endings', [f('lpt9.a.b/x')]),
  {
    verdict: 'refused',
    why: "another module's file",
    entries: [{ name: 'example.com/other@v1.0.0/a.go' }],
    foreign: true,
  },
  { verdict: 'refused', why: 'a name without prefix', entries: [f('a.go')], foreign: true },
  refused('a wrong checksum', [f('a.go', { crc: 1 })]),
  refused('a wrong checksum of a large file', [f('a', { content: Buffer.alloc(9 * MiB), crc: 1 })]),
  refused('a checksum of zero, where a descriptor has it too', [f('a.go', { crc: 0, descriptor: 'signed' })]),
  refused('another checksum in the descriptor', [f('a.go', { descriptor: 'signed', descriptorCrc: 1 })]),
  refused('longer than declared', [f('a.go', { bytes: 3 })]),
  refused('longer than declared, by one', [f('a.go', { bytes: 7 })]),
  refused('shorter than declared', [f('a.go', { bytes: 9 })]),
  refused('longer than nothing', [f('a.go', { bytes: 0 })]),
  refused('a large one shorter than declared', [
    f('a', { content: Buffer.alloc(9 * MiB), bytes: 9 * MiB + 1 }),
  ]),
  refused('a bomb: 40 MB declared as 10 bytes', [f('a', { content: Buffer.alloc(40 * MiB), bytes: 10 })]),
  refused('a bomb: 40 MB declared as 9 MB', [f('a', { content: Buffer.alloc(40 * MiB), bytes: 9 * MiB })]),
  refused('a deflate stream cut short', [f('a.go', { body: TRAILING.subarray(0, 5) })]),
  refused('a long one cut short', [
    f('a', { content: Buffer.alloc(9 * MiB), body: LONG_TRAILING.subarray(0, 99) }),
  ]),
  refused('not a deflate stream', [f('a.go', { body: Buffer.alloc(9, 0xff) })]),
  refused('a long one that is none', [f('a.go', { bytes: 9 * MiB, body: Buffer.alloc(MiB, 0xff) })]),
  refused('no deflate stream at all', [f('a.go', { body: Buffer.alloc(0) })]),
  refused('500 MiB and a byte declared', [f('a', { bytes: 250 * MiB }), f('b', { bytes: 250 * MiB + 1 })]),
  refused('absurd sizes', [f('a', { bytes: 2 ** 62, zip64: true })]),
  refused('no zip', [], { trailing: Buffer.alloc(70_000) }),
];

type Judged = {
  readonly Path: string;
  readonly Sum?: string;
  readonly GoModSum?: string;
  readonly Error?: string;
};

const pathOf = (index: number) => `example.com/case${index}`;
const goModOf = (path: string) => Buffer.from(`module ${path}\n`);
const zips = rows.map(({ entries, zip, foreign }, index) => {
  const prefix = foreign ? '' : `${pathOf(index)}@v1.0.0/`;
  const named = entries.map((entry) => ({
    ...entry,
    name: Buffer.concat([Buffer.from(prefix), Buffer.from(entry.name)]),
  }));
  return makeZip(named, zip);
});
let judged = new Map<string, Judged>();

before(async () => {
  judged = await withDirectory(async (directory) => {
    const proxy = join(directory, 'proxy');
    for (const [index, zip] of zips.entries()) {
      const versions = join(proxy, pathOf(index), '@v');
      await mkdir(versions, { recursive: true });
      await writeFile(join(versions, 'v1.0.0.info'), '{"Version":"v1.0.0"}');
      await writeFile(join(versions, 'v1.0.0.mod'), goModOf(pathOf(index)));
      await writeFile(join(versions, 'v1.0.0.zip'), zip);
    }
    const modules = rows.map((_, index) => `${pathOf(index)}@v1.0.0`);
    const { stdout, stderr } = await runGo(['mod', 'download', '-json', ...modules], { directory, proxy });
    assert.notEqual(stdout, '', stderr);
    const answers = JSON.parse(`[${stdout.replaceAll(/^}\n(?=\{)/gm, '},')}]`) as Judged[];
    return new Map(answers.map((answer) => [answer.Path, answer]));
  });
});

for (const [index, { why, verdict }] of rows.entries()) {
  test(`${verdict} by go and here alike: ${why}`, () => {
    const path = pathOf(index);
    const go = judged.get(path);
    assert.ok(go !== undefined);
    assert.equal(go.Error === undefined ? 'taken' : 'refused', verdict, go.Error);
    const zip = chunkSource(zips[index] ?? Buffer.alloc(0), 256 * 1024);
    const hashed = () => hashZip(zip, { module: path, version: 'v1.0.0' });
    if (verdict === 'refused') return assert.throws(hashed, CheckFailed);
    assert.equal(hashed().h1, go.Sum);
    assert.equal(hashGoMod(goModOf(path)), go.GoModSum);
  });
}
