// Goal: README and the pages beside it say what the program does: its commands, flags, defaults, variables and metrics, all of
// them and no others; and their links lead somewhere.
// Method: the pages as text, held against the lists that `--help` and `/metrics` are made of.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Command } from '../src/commands/command.ts';
import { commands } from '../src/commands/command-list.ts';
import { Metrics } from '../src/observe/metrics.ts';
import { pluginFlags } from '../src/plugin/flags.ts';
import { CHECKOUT } from './support/corpus.ts';
import { GAUGES } from './support/gauges.ts';
import { type MarkdownPage, readMarkdown } from './support/markdown.ts';

const PAGES = ['README.md', 'src/README.md', 'bench/README.md', 'deploy/README.md'];

const readme = readMarkdown(join(CHECKOUT, 'README.md'));

/** Flags of other programs that README shows. */
const FOREIGN: Readonly<Record<string, string>> = { global: 'git config', format: 'aws configure' };

/** All commands have them. */
const COMMON = ['help', 'version'];

for (const page of PAGES) {
  test(`${page}: its links lead to files and headings that are there`, () => {
    const links = readMarkdown(join(CHECKOUT, page)).links.filter((link) => !/^[a-z]+:/.test(link));
    const anchors = new Map<string, MarkdownPage['anchors']>();
    for (const link of links) {
      const [file = '', anchor] = link.split('#');
      const path = file === '' ? join(CHECKOUT, page) : join(CHECKOUT, dirname(page), file);
      assert.ok(existsSync(path), link);
      if (anchor === undefined) continue;
      const there = anchors.get(path) ?? readMarkdown(path).anchors;
      anchors.set(path, there);
      assert.ok(there.has(anchor), link);
    }
    if (page === 'README.md') assert.ok(links.length > 50, `${links.length} links`);
  });
}

/** The flags of our commands as they stand in code, with or without a value. */
function flagsIn(text: string): string[] {
  return Array.from(text.matchAll(/(?:^|\s)--?([a-z][a-z0-9-]*)/g), ([, name = '']) => name);
}

function takes({ flags }: Command, name: string): boolean {
  return COMMON.includes(name) || flags.some((flag) => flag.name === name);
}

/** Every `astera …` in code, but where it is the name of a user, an image or a directory. */
function invocations({ code }: MarkdownPage): string[] {
  const ours = /(?<!-[ut] |another |lib\/|[\w-])astera ((?:(?!\bastera\b|&&|;).)*)/g;
  return code.flatMap((line) => Array.from(line.replace(/#.*/, '').matchAll(ours), ([, rest = '']) => rest));
}

for (const page of ['README.md', 'deploy/README.md']) {
  test(`${page}: its examples name commands that exist, with flags that each has`, () => {
    const lines = invocations(readMarkdown(join(CHECKOUT, page))).filter((line) => /^-?[a-z-]/.test(line));
    for (const line of lines) {
      const word = line.split(' ')[0] ?? '';
      const command = commands.find(({ name }) => name === (word.startsWith('-') ? 'serve' : word));
      assert.ok(command !== undefined, `astera ${line}`);
      for (const name of flagsIn(line)) assert.ok(takes(command, name), `--${name}: astera ${line}`);
    }
    assert.ok(lines.length > (page === 'README.md' ? 40 : 5), `${lines.length} examples`);
  });
}

test('each flag that README names is one of a command, and it names each flag of each command', () => {
  const named = new Set(readme.code.flatMap(flagsIn));
  const known = new Set(commands.flatMap(({ flags }) => flags.map(({ name }) => name)).concat(COMMON));
  const long = [...new Set(readme.code.flatMap((line) => line.match(/(?<![\w-])--[a-z][a-z0-9-]*/g) ?? []))];
  assert.deepEqual(
    long.filter((flag) => !known.has(flag.slice(2)) && !(flag.slice(2) in FOREIGN)),
    [],
  );
  assert.deepEqual(
    [...known].filter((name) => !named.has(name)),
    [],
  );
});

/** The first cells of a section's table, as names: `--addr`, `-u`. */
function flagRows(anchor: string): { names: string[]; cells: readonly string[] }[] {
  const rows = readme.rows.get(anchor) ?? [];
  return rows
    .map((cells) => ({
      names: Array.from(cells[0]?.matchAll(/`--?([a-z0-9-]+)`/g) ?? [], ([, name = '']) => name),
      cells,
    }))
    .filter(({ names }) => names.length > 0);
}

const TABLES = {
  serve: 'flags-of-serve',
  cacheprog: 'flags-of-the-build-cache',
  bucket: 'flags-for-a-bucket',
} as const;

test('the tables of flags have each flag of serve and of the cache program, with its default', () => {
  const serve = commands.find(({ name }) => name === 'serve');
  const rows = flagRows(TABLES.serve);
  const listed = new Set(
    Object.values(TABLES).flatMap((anchor) => flagRows(anchor).flatMap(({ names }) => names)),
  );
  assert.deepEqual(
    serve?.flags.filter(({ name }) => !listed.has(name)).map(({ name }) => name),
    [],
  );
  for (const { names, cells } of rows) {
    const defaults = cells[1]?.split(', ') ?? [];
    for (const [at, name] of names.entries()) {
      const flag: Command['flags'][number] | undefined = serve?.flags.find((one) => one.name === name);
      assert.ok(flag !== undefined, name);
      if (flag.fallback === undefined || flag.fallback === '') continue;
      const said = defaults.length === names.length ? defaults[at] : cells[1];
      assert.equal(said, `\`${flag.fallback}\``, `the default of --${name}`);
    }
  }
});

test('the tables of the build cache and of buckets have its defaults and variables', () => {
  for (const anchor of [TABLES.cacheprog, TABLES.bucket]) {
    for (const { names, cells } of flagRows(anchor)) {
      for (const name of names) {
        const flag = pluginFlags.find((one) => one.name === name);
        if (name === 'bucket-private') continue; // One of servers alone.
        assert.ok(flag !== undefined, name);
        // The default ends the help: "uploads at one time (4)".
        const [, fallback] = /\(([^() ]+)\)$/.exec(flag.help) ?? [];
        if (fallback !== undefined && fallback !== 'none')
          assert.ok(cells.at(-1)?.includes(`(\`${fallback}\``), `the default of --${name}: ${fallback}`);
        if (anchor === TABLES.bucket)
          assert.equal(cells[1], flag.variable === undefined ? '' : `\`${flag.variable}\``, name);
      }
    }
  }
});

test('the table of commands has each of them', () => {
  const cells = (readme.rows.get('commands') ?? []).map(([first = '']) => first);
  const listed = new Set(
    cells.flatMap((cell) => Array.from(cell.matchAll(/`([a-z]+)/g), ([, name]) => name)),
  );
  assert.deepEqual([...listed].toSorted(), commands.map(({ name }) => name).toSorted());
});

test('the table of metrics has each of them', async () => {
  const metrics = new Metrics();
  metrics.watch(GAUGES);
  const real = Array.from((await metrics.text()).matchAll(/^# TYPE (\S+)/gm), ([, name = '']) => name);
  const named = (readme.rows.get('metrics') ?? []).flatMap(
    ([cell = '']) => cell.match(/\bastera_\w+/g) ?? [],
  );
  assert.deepEqual(named.toSorted(), real.toSorted());
  const elsewhere = readme.code.flatMap((line) => line.match(/\bastera_\w+/g) ?? []);
  assert.deepEqual(
    elsewhere.filter((name) => !real.includes(name)),
    [],
  );
});
