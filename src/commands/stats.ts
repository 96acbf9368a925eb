/** `astera stats`: the contents of the store, as a table for people or as JSON for programs. */

import { ENTRY_KINDS, type EntryKind } from '../core/entry-kind.ts';
import { printable, printableJson } from '../core/printable.ts';
import { formatSize } from '../core/quantity.ts';
import type { StoreStats } from '../core/store-stats.ts';
import { copySizes } from '../git/copy-sizes.ts';
import { lookAtStore } from '../store/look.ts';
import { readStats } from '../store/stats.ts';
import { formatTable } from './table.ts';

type StatsOptions = { readonly dbPath: string; readonly gitDir: string; readonly asJson: boolean };

/** Copies of Git repositories. */
type GitStats = { readonly copies: number; readonly bytes: number };

/**
 * Prints what the store at `dbPath` holds, beside a running server too.
 *
 * @throws {StoreFailed} it can't be read
 */
export async function stats({ dbPath, gitDir, asJson }: StatsOptions): Promise<void> {
  lookAtStore(dbPath, { mayBeNew: false });
  const found = { ...readStats(dbPath), git: await gitCopies(gitDir) };
  const text = asJson
    ? printableJson(JSON.stringify({ db: dbPath, ...found }, null, 2))
    : describe(found, dbPath, Date.now());
  process.stdout.write(`${text}\n`);
}

/** The table, at `nowMs`. */
export function describe(
  found: StoreStats & { readonly git: GitStats },
  dbPath: string,
  nowMs: number,
): string {
  const { storeBytes, freeBytes, walBytes, blobs, git, unchecked, unconfirmed, unknown } = found;
  const { bytesMax, pinned } = found;
  const lines = [
    `store  ${printable(dbPath)}`,
    `file   ${formatSize(storeBytes)}, of which free ${formatSize(freeBytes)}; WAL ${formatSize(walBytes)}`,
    `blobs  ${count(blobs.count)}, ${formatSize(blobs.bytes)}: each content once`,
  ];
  if (bytesMax !== null) {
    const kept = `${count(pinned.zips)} zips are pinned, ${formatSize(pinned.bytes)}`;
    lines.splice(2, 0, `limit  ${formatSize(bytesMax)}; ${kept}`);
  }
  if (git.copies > 0)
    lines.push(`git    ${count(git.copies)} copies of repositories, ${formatSize(git.bytes)}`);
  if (unchecked > 0) {
    lines.push(`not held against the checksum database yet: ${count(unchecked)}`);
  }
  if (unconfirmed > 0) {
    const strange = unknown > 0 ? `, ${count(unknown)} of which it does not know` : '';
    lines.push(`not confirmed by the checksum database yet: ${count(unconfirmed)}${strange}`);
  }
  const parts = [...partials(found, nowMs), ...buildCache(found, nowMs), ...uploads(found, nowMs)];
  return [...lines, '', answers(found, nowMs), ...parts].join('\n');
}

async function gitCopies(directory: string): Promise<GitStats> {
  const sizes = [...(await copySizes(directory)).values()];
  return { copies: sizes.length, bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function answers({ tallies }: StoreStats, nowMs: number): string {
  if (tallies.length === 0) return 'nothing is stored yet';
  const order = (kind: EntryKind) => ENTRY_KINDS.indexOf(kind);
  const rows = tallies.toSorted((a, b) => a.status - b.status || order(a.kind) - order(b.kind));
  const sum = (of: 'entries' | 'bytes') => rows.reduce((all, row) => all + row[of], 0);
  return formatTable([
    ['kind', 'source', '>answers', '>size', '>oldest', '>newest'],
    ...rows.map(({ kind, status, source, entries, bytes, oldestAtMs, newestAtMs }) => [
      status === 200 ? kind : `${kind} ${status}`,
      source,
      count(entries),
      formatSize(bytes),
      ago(nowMs - oldestAtMs),
      ago(nowMs - newestAtMs),
    ]),
    ['total', '', count(sum('entries')), formatSize(sum('bytes')), '', ''],
  ]);
}

function partials({ partials, partialCount }: StoreStats, nowMs: number): string[] {
  if (partialCount === 0) return [];
  const table = formatTable([
    ['partial download', '>stored', '>of', '>last'],
    ...partials.map(({ key, bytes, size, changedAtMs }) => [
      key,
      formatSize(bytes),
      size === null ? '?' : formatSize(size),
      ago(nowMs - changedAtMs),
    ]),
  ]);
  const left = partialCount - partials.length;
  return ['', left > 0 ? `${table}\nand ${count(left)} more` : table];
}

function buildCache({ buildCache: found }: StoreStats, nowMs: number): string[] {
  const { actions, outputs, bytes, storedBytes, conflicts, conflictCount } = found;
  if (actions + outputs === 0) return [];
  const sizes = `${formatSize(bytes)}, stored in ${formatSize(storedBytes)}`;
  const lines = ['', `build cache  ${count(actions)} actions, ${count(outputs)} outputs of ${sizes}`];
  if (conflictCount === 0) return lines;
  lines.push(`another output was put, and refused, for ${count(conflictCount)} actions:`);
  const rows = conflicts.map(({ namespace, actionId, outputId, refusedOutputId, times, atMs }) => [
    ...[namespace, actionId, outputId, refusedOutputId],
    ...[count(times), ago(nowMs - atMs)],
  ]);
  lines.push(formatTable([['namespace', 'action', 'output', 'refused', '>times', '>last'], ...rows]));
  if (conflictCount > conflicts.length) lines.push(`and ${count(conflictCount - conflicts.length)} more`);
  return lines;
}

function uploads({ uploads: found }: StoreStats, nowMs: number): string[] {
  const { waiting, oldestAtMs, lost, skipped, lostFiles } = found;
  if (waiting + lost + skipped === 0) return [];
  const age = oldestAtMs === null ? '' : `, the oldest for ${ago(nowMs - oldestAtMs)}`;
  const lines = ['', `bucket  ${count(waiting)} files wait for it${age}`];
  if (skipped > 0) lines.push(`${count(skipped)} files found the queue full: astera push --all`);
  if (lost === 0) return lines;
  lines.push(`${count(lost)} files were given up, as the bucket refused them; astera push tries them again:`);
  const rows = lostFiles.map(({ kind, name, why }) => [`${kind} ${name}`, why]);
  lines.push(formatTable([['file', 'why'], ...rows]));
  if (lost > lostFiles.length) lines.push(`and ${count(lost - lostFiles.length)} more`);
  return lines;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

/** The largest whole unit: `3d`, `2h`, `5m`, `12s`. A clock may have gone back meanwhile. */
function ago(ms: number): string {
  for (const [unit, unitMs] of UNITS) if (ms >= unitMs) return `${Math.floor(ms / unitMs)}${unit}`;
  return '0s';
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;
