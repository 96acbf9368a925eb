// Question: which page size, chunk size and mmap setting the store should have.
// Method: for each combination a database of its own in the temporary directory, set up as src/store/schema.ts
// does it; 64 MiB of chunks written in transactions of 8 MiB with a checkpoint after each 16 MiB, read back in
// random order, then 700-byte rows read in random order, all in one thread, without frames or queues. All out of
// the page cache; figures are by CPU second, as other work on the machine does not count there.
// Run: node bench/store-settings.ts [DIRECTORY]   (a directory on the disk in question; takes about a minute)

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';

const KiB = 1024;
const MiB = 1024 * KiB;

const TOTAL_BYTES = 64 * MiB;
const GROUP_BYTES = 8 * MiB;
const CHECKPOINT_BYTES = 16 * MiB;
const SMALL_ROWS = 20_000;
const SMALL_BYTES = 700;
const READ_MS = 400;
/** Each combination is measured so often; the best counts, as everything else on the machine only adds. */
const ROUNDS = 2;

type Setting = { readonly pageBytes: number; readonly chunkBytes: number };
type Figures = {
  /** MB/s by the clock, the disk's own time included, and MB by CPU second. */
  write: [number, number];
  /** MB, and small rows, by CPU second: without mmap, with it. */
  read: [number, number];
  small: [number, number];
  fileMiB: number;
};

function main(): void {
  const parent = process.argv[2] ?? tmpdir();
  const header = [
    'page',
    'chunk',
    'write MB/s',
    'MB/CPU s',
    'read MB/CPU s',
    'with mmap',
    'rows/CPU s',
    'with mmap',
    'file MiB',
  ];
  console.log(header.map((name) => name.padStart(14)).join(''));
  for (const chunkBytes of [256 * KiB, MiB]) {
    for (const pageBytes of [4 * KiB, 8 * KiB, 16 * KiB]) {
      const runs = Array.from({ length: ROUNDS }, () => measure(parent, { pageBytes, chunkBytes }));
      print({ pageBytes, chunkBytes }, runs.reduce(best));
    }
  }
}

function measure(parent: string, setting: Setting): Figures {
  const directory = mkdtempSync(join(parent, 'astera-bench-'));
  const path = join(directory, 'a.db');
  try {
    const write = writeAll(path, setting);
    const [plain, mapped] = [readAll(path, 0, setting), readAll(path, 2 ** 33, setting)];
    return {
      write,
      read: [plain.chunks, mapped.chunks],
      small: [plain.small, mapped.small],
      fileMiB: statSync(path).size / MiB,
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @returns MB of chunks by second, checkpoints and the last one included */
function writeAll(path: string, { pageBytes, chunkBytes }: Setting): [number, number] {
  const db = new Database(path);
  db.pragma(`page_size = ${pageBytes}`);
  db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.pragma('wal_autocheckpoint = 0');
  db.pragma('cache_size = -8192');
  db.exec('CREATE TABLE chunk (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT');
  db.exec('CREATE TABLE entry (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body BLOB) STRICT');
  const putSmall = db.prepare<[string, Buffer]>('INSERT INTO entry (key, body) VALUES (?, ?)');
  const noise = randomBytes(2 * chunkBytes);
  db.transaction(() => {
    for (let i = 0; i < SMALL_ROWS; i++)
      putSmall.run(keyOf(i), noise.subarray(i % KiB, (i % KiB) + SMALL_BYTES));
  })();
  db.pragma('wal_checkpoint(TRUNCATE)');
  const putChunk = db.prepare<[number, Buffer]>('INSERT INTO chunk VALUES (?, ?)');
  const group = db.transaction((first: number) => {
    for (let i = 0; i < GROUP_BYTES / chunkBytes; i++) {
      putChunk.run(first + i, noise.subarray(first + i, first + i + chunkBytes));
    }
  });
  const [startedMs, cpu] = [performance.now(), cpuMs()];
  for (let bytes = 0; bytes < TOTAL_BYTES; bytes += GROUP_BYTES) {
    group(bytes / chunkBytes);
    if ((bytes + GROUP_BYTES) % CHECKPOINT_BYTES === 0) db.pragma('wal_checkpoint(PASSIVE)');
  }
  db.pragma('wal_checkpoint(TRUNCATE)');
  const figures: [number, number] = [performance.now() - startedMs, cpuMs() - cpu];
  db.close();
  return [TOTAL_BYTES / 1e3 / figures[0], TOTAL_BYTES / 1e3 / figures[1]];
}

function readAll(
  path: string,
  mmapBytes: number,
  { chunkBytes }: Setting,
): { chunks: number; small: number } {
  const db = new Database(path, { readonly: true });
  db.pragma('cache_size = -4096');
  db.pragma(`mmap_size = ${mmapBytes}`);
  const getChunk = db.prepare<[number], { bytes: Buffer }>('SELECT bytes FROM chunk WHERE id = ?');
  const getSmall = db.prepare<[string], { body: Buffer }>('SELECT body FROM entry WHERE key = ?');
  const count = TOTAL_BYTES / chunkBytes;
  const chunks = perSecond((i) => getChunk.get(scattered(i, count))?.bytes.byteLength);
  const small = perSecond((i) => getSmall.get(keyOf(scattered(i, SMALL_ROWS)))?.body.byteLength);
  db.close();
  return { chunks: (chunks * chunkBytes) / 1e6, small };
}

/** How often in a CPU second `read` runs; it must find something. */
function perSecond(read: (i: number) => number | undefined): number {
  const startedMs = cpuMs();
  let elapsedMs = 0;
  let done = 0;
  while (elapsedMs < READ_MS) {
    for (let i = 0; i < 50; i++) {
      if (read(done + i) === undefined) throw new Error(`cannot read row ${done + i}`);
    }
    done += 50;
    elapsedMs = cpuMs() - startedMs;
  }
  return (done * 1_000) / elapsedMs;
}

/** This process's CPU time: user's and system's. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}

/** All of `0` to `count - 1`, in an order no read-ahead knows: 7,919 is prime and divides no count here. */
function scattered(i: number, count: number): number {
  return (i * 7_919) % count;
}

function keyOf(i: number): string {
  return `example.com/module-${i % 997}/@v/v1.${i}.0.mod`;
}

function best(a: Figures, b: Figures): Figures {
  return {
    write: [Math.max(a.write[0], b.write[0]), Math.max(a.write[1], b.write[1])],
    read: [Math.max(a.read[0], b.read[0]), Math.max(a.read[1], b.read[1])],
    small: [Math.max(a.small[0], b.small[0]), Math.max(a.small[1], b.small[1])],
    fileMiB: a.fileMiB,
  };
}

function print({ pageBytes, chunkBytes }: Setting, figures: Figures): void {
  const { write, read, small, fileMiB } = figures;
  const cells = [
    `${pageBytes / KiB} KiB`,
    `${chunkBytes / KiB} KiB`,
    ...[...write, ...read, ...small].map((figure) => figure.toFixed(0)),
    fileMiB.toFixed(1),
  ];
  console.log(cells.map((cell) => cell.padStart(14)).join(''));
}

main();
