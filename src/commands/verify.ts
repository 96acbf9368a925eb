/**
 * `astera verify`: checks every stored byte, names what is bad, and with `--repair` drops that and
 * fetches it again. With `--online` the checksum database is asked about each module too. Exit code 1
 * where something is, or stays, bad, or the database could not be asked.
 *
 * Runs beside a server, which does what goes out, and the repairs.
 */

import { connectControl } from '../control/control-client.ts';
import { controlPath } from '../control/control-path.ts';
import type { WritableStore } from '../core/control-port.ts';
import { isServeError, messageOf } from '../core/errors.ts';
import { printable } from '../core/printable.ts';
import { formatSize } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { Progress } from '../observe/progress.ts';
import { clock } from '../serve/clock.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { Config, StoreConfig } from '../settings/config.ts';
import { StoreAudit } from '../store/audit.ts';
import { lookAtStore } from '../store/look.ts';
import { checkOnline, type OnlineCounts } from './online-check.ts';
import { type Fault, StoreCheck } from './store-check.ts';
import { type Fetcher, ownFetcher } from './warm.ts';
import { openStoreForWriting } from './writable-store.ts';

/** Bad entries dropped in one transaction: a zip among them has a thousand chunks. */
const STEP_KEYS = 16;

/**
 * @param loadConfig with `--repair` or `--online`, if no server runs: the settings that one would run with
 * @throws {StoreFailed} no store, not ours
 * @throws {Error} something is bad and was not repaired, or the database could not be asked
 */
export async function verifyCommand(
  config: StoreConfig,
  { mayRepair, isOnline, loadConfig }: VerifyOptions,
): Promise<void> {
  lookAtStore(config.dbPath, { mayBeNew: false });
  const signal = stopSignal();
  const faults = await findFaults(config.dbPath, signal);
  const asked = isOnline && !signal.aborted ? await ask(config, { faults, loadConfig, signal }) : undefined;
  faults.push(...(asked?.faults ?? []));
  if (faults.length > 0 && !mayRepair) {
    throw new Error(
      `found ${counted(faults.length, 'fault')}: 'astera verify --repair' drops what is bad and fetches it again`,
    );
  }
  if (faults.length > 0 && !signal.aborted) await repair(config, faults, loadConfig);
  if (asked !== undefined && asked.silent > 0) {
    throw new Error(
      `cannot ask the checksum database about ${counted(asked.silent, 'module version')}: see above; run it again when the line is there`,
    );
  }
}

type VerifyOptions = {
  readonly mayRepair: boolean;
  readonly isOnline: boolean;
  readonly loadConfig: () => Promise<Config>;
};

/** Prints each fault, and a line that sums up. */
async function findFaults(dbPath: string, signal: AbortSignal): Promise<Fault[]> {
  const isShared = await isServed(dbPath);
  const progress = new Progress({ verb: 'verifying', stream: process.stderr, now: clock.monotonicMs });
  const done = { files: 0, bytes: 0 };
  const faults: Fault[] = [];
  const audit = new StoreAudit(dbPath);
  try {
    const { entries, bytes } = audit.size();
    progress.setTotal({ files: entries, bytes });
    const onProgress = (more: { readonly files: number; readonly bytes: number }) => {
      done.files += more.files;
      done.bytes += more.bytes;
      progress.add(more);
    };
    for await (const fault of new StoreCheck({ audit, isShared, onProgress, signal }).faults()) {
      faults.push(fault);
      progress.end();
      process.stdout.write(`${printable(`bad: ${nameOf(fault)}: ${fault.why}`)}\n`);
    }
  } finally {
    progress.end();
    audit.close();
  }
  const seconds = (progress.elapsedMs / 1000).toFixed(1);
  const ending = signal.aborted
    ? 'stopped before the end'
    : faults.length === 0
      ? 'all is well'
      : counted(faults.length, 'fault');
  process.stdout.write(
    `checked ${counted(done.files, 'answer')}, ${formatSize(done.bytes)} in ${seconds}s: ${ending}\n`,
  );
  return faults;
}

/** Asks the checksum database about all that is not bad already; prints as {@link findFaults} does. */
async function ask(
  config: StoreConfig,
  {
    faults,
    loadConfig,
    signal,
  }: { faults: readonly Fault[]; signal: AbortSignal } & Pick<VerifyOptions, 'loadConfig'>,
): Promise<{ faults: Fault[]; silent: number }> {
  const opened = await openStoreForWriting(config, { mayBeNew: false });
  const progress = new Progress({ verb: 'asking', stream: process.stderr, now: clock.monotonicMs });
  const audit = new StoreAudit(config.dbPath);
  const found: Fault[] = [];
  let own: Fetcher | undefined;
  let others = 0;
  const say = (line: string) => {
    progress.end();
    process.stdout.write(`${printable(line)}\n`);
  };
  try {
    own = opened.own && (await ownFetcher(await loadConfig(), opened.own));
    const lookUp = (opened.server ?? own)?.lookUp;
    if (lookUp === undefined) return { faults: found, silent: 0 };
    progress.setTotal({ files: audit.summedCount(), bytes: 0 });
    const counts = await checkOnline({
      ...{ audit, lookUp, signal },
      bad: new Set(faults.flatMap(({ of }) => (of !== 'file' && 'key' in of ? of.key : []))),
      onFault: (fault) => {
        found.push(fault);
        say(`bad: ${nameOf(fault)}: ${fault.why}`);
      },
      onOther: (kind, what, why) => {
        if (++others <= OTHERS_LISTED_MAX) say(`${otherWords[kind]}: ${what}: ${why}`);
      },
      onProgress: (more) => progress.add(more),
    });
    if (others > OTHERS_LISTED_MAX) say(`and ${others - OTHERS_LISTED_MAX} more`);
    const seconds = (progress.elapsedMs / 1000).toFixed(1);
    say(
      `asked the checksum database in ${seconds}s${signal.aborted ? ', stopped before the end' : ''}: ${summary(counts)}`,
    );
    return { faults: found, silent: counts.silent };
  } finally {
    progress.end();
    audit.close();
    await own?.close();
    await opened.close();
  }
}

/** Of what the database could not say something about, so many are listed: mostly for one reason. */
const OTHERS_LISTED_MAX = 20;

const otherWords = { unknown: 'unknown to it', silent: 'not asked' };

function summary({ confirmed, bad, unknown, silent, private: secret }: OnlineCounts): string {
  const parts = [`${counted(confirmed, 'module version')} confirmed`];
  if (bad > 0) parts.push(`${bad} bad`);
  if (unknown > 0) parts.push(`${unknown} unknown to it`);
  if (silent > 0) parts.push(`${silent} not asked`);
  if (secret > 0) parts.push(`${secret} private, never asked about`);
  return parts.join(', ');
}

function nameOf({ of }: Fault): string {
  if (of === 'file') return 'the file itself';
  if ('key' in of) return of.key;
  if ('output' in of) return `build output ${of.outputId ?? `of blob ${of.output}`}`;
  if ('action' in of) return `build action ${of.action.actionId} of ${quote(of.action.namespace)}`;
  return `blob ${of.unused}`;
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

async function isServed(dbPath: string): Promise<boolean> {
  const server = await connectControl(controlPath(dbPath));
  server?.close();
  return server !== undefined;
}

/** Drops all first: new content that is the same as a bad blob's would be taken for stored already. */
async function repair(
  config: StoreConfig,
  faults: readonly Fault[],
  loadConfig: () => Promise<Config>,
): Promise<void> {
  const opened = await openStoreForWriting(config, { mayBeNew: false });
  let own: Fetcher | undefined;
  try {
    // Before anything is dropped: without an upstream nothing would come again.
    own = opened.own && (await ownFetcher(await loadConfig(), opened.own));
    await drop(opened.store, faults);
    const wanted = new Set(
      faults.flatMap(({ of }) => (of !== 'file' && 'key' in of && of.isWanted ? of.key : [])),
    );
    const lost = await fetchAgain([...wanted], opened.server ?? own);
    process.stdout.write(`dropped what was bad, fetched ${counted(wanted.size - lost, 'answer')} again\n`);
    if (lost > 0)
      throw new Error(`cannot fetch ${lost} of ${counted(wanted.size, 'answer')} again: see above`);
    if (faults.some(({ of }) => of === 'file')) {
      throw new Error(
        "cannot repair the file itself: save what is good by 'astera export', remove the file, and import that",
      );
    }
  } finally {
    await own?.close();
    await opened.close();
  }
}

async function drop(store: WritableStore, faults: readonly Fault[]): Promise<void> {
  const keys = faults.flatMap(({ of }) => (of !== 'file' && 'key' in of ? of.key : []));
  for (const step of steps(keys)) await store.forget({ keys: step });
  const unused = faults.flatMap(({ of }) => (of !== 'file' && 'unused' in of ? of.unused : []));
  for (const step of steps(unused)) await store.dropUnused({ blobs: step });
  for (const { of } of faults) {
    if (of !== 'file' && 'output' in of) await store.dropOutput({ blob: of.output });
    if (of !== 'file' && 'action' in of) await store.dropAction(of.action);
  }
}

function* steps<T>(items: readonly T[]): Generator<T[]> {
  for (let at = 0; at < items.length; at += STEP_KEYS) yield items.slice(at, at + STEP_KEYS);
}

/** How many could not be fetched: each is named. */
async function fetchAgain(keys: readonly string[], by: Pick<Fetcher, 'fetch'> | undefined): Promise<number> {
  let lost = 0;
  for (const key of keys) {
    try {
      await by?.fetch({ key });
    } catch (error) {
      if (!isServeError(error) || error.kind === 'store-failed') throw error;
      lost++;
      process.stdout.write(`${printable(`lost: ${key}: ${messageOf(error)}`)}\n`);
    }
  }
  return lost;
}
