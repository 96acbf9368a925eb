/**
 * `astera verify --online`: every stored zip and go.mod against the checksum database, which is asked anew.
 *
 * A question for each module version, several at a time. Private modules are never asked about.
 */

import { h1Among, type Summed, summedOf, type Word } from '../core/checksums.ts';
import type { ControlPort } from '../core/control-port.ts';
import { isServeError, messageOf } from '../core/errors.ts';
import type { Remote } from '../core/store-port.ts';
import { readExactly } from '../modzip/byte-source.ts';
import { hashGoMod } from '../modzip/go-mod-hash.ts';
import { hashZip } from '../modzip/zip-hash.ts';
import type { AuditedEntry, StoreAudit } from '../store/audit.ts';
import { inLanes } from '../tree/lanes.ts';
import { bodySource, type Fault } from './store-check.ts';

/** Questions open at one time. At double, clients of the server wait behind them for the line. */
const LANES = 12;

export type OnlineCheckOptions = {
  readonly audit: StoreAudit;
  /** Keys that are bad already. */
  readonly bad: ReadonlySet<string>;
  readonly lookUp: Remote<ControlPort>['lookUp'];
  readonly onFault: (fault: Fault) => void;
  /** The database does not know it, or could not be asked: `what` is `module@version`. */
  readonly onOther: (kind: 'unknown' | 'silent', what: string, why: string) => void;
  readonly onProgress: (done: { readonly files: number; readonly bytes: number }) => void;
  readonly signal: AbortSignal;
};

/** How many module versions came to what. */
export type OnlineCounts = Record<'confirmed' | 'bad' | Exclude<Word['kind'], 'record'>, number>;

/** Asks about all there is, or until told to stop. */
export async function checkOnline(options: OnlineCheckOptions): Promise<OnlineCounts> {
  const counts: OnlineCounts = { confirmed: 0, bad: 0, private: 0, unknown: 0, silent: 0 };
  await inLanes(versions(options), LANES, async (files) => {
    const outcome = await checkVersion(files, options);
    counts[outcome]++;
    options.onProgress({ files: 1, bytes: 0 });
  });
  return counts;
}

type File = { readonly entry: AuditedEntry; readonly resource: Summed };

/** The files of one module version: one, or the go.mod and the zip. */
async function* versions({ audit, bad, signal }: OnlineCheckOptions): AsyncGenerator<File[]> {
  let files: File[] = [];
  for (const entry of audit.summed()) {
    if (signal.aborted) return;
    const resource = bad.has(entry.key) ? undefined : summedOf(entry.key);
    if (resource === undefined) continue;
    const [first] = files;
    if (first !== undefined && nameOf(first.resource) !== nameOf(resource)) {
      yield files;
      files = [];
    }
    files.push({ entry, resource });
  }
  if (files.length > 0) yield files;
}

function nameOf({ module, version }: Summed): string {
  return `${module}@${version}`;
}

async function checkVersion(
  files: readonly File[],
  { audit, lookUp, onFault, onOther }: OnlineCheckOptions,
): Promise<keyof OnlineCounts> {
  const [first] = files;
  if (first === undefined) return 'confirmed';
  const word = await lookUp({ key: first.entry.key });
  if (word.kind === 'private') return word.kind;
  if (word.kind !== 'record') {
    onOther(word.kind, nameOf(first.resource), word.why);
    return word.kind;
  }
  let outcome: keyof OnlineCounts = 'confirmed';
  for (const { entry, resource } of files) {
    const why = await contradiction(entry, resource, word.lines, audit);
    if (why === undefined || !audit.isEntryAsRead(entry)) continue;
    onFault({ of: { key: entry.key, isWanted: true }, why });
    outcome = 'bad';
  }
  return outcome;
}

async function contradiction(
  entry: AuditedEntry,
  resource: Summed,
  lines: readonly string[],
  audit: StoreAudit,
): Promise<string | undefined> {
  const expected = h1Among(lines, resource);
  if (expected === undefined) return 'the checksum database has its version, but not this file';
  try {
    const h1 = entry.h1 ?? (await h1Of(entry, resource, audit));
    return h1 === expected ? undefined : `its h1 is ${h1}, the checksum database's ${expected}`;
  } catch (error) {
    if (isServeError(error)) return messageOf(error);
    throw error;
  }
}

/** Of what was kept without asking anyone. A recorded h1 was held against the content before. */
async function h1Of(entry: AuditedEntry, resource: Summed, audit: StoreAudit): Promise<string> {
  const source = bodySource(entry, audit);
  if (resource.kind === 'zip') return hashZip(source, resource).h1;
  return hashGoMod(readExactly(source, { offset: 0, length: entry.size }));
}
