/**
 * `astera forget MODULE[@VERSION]…`: drops what is stored of them, answers and 404s alike, so that the
 * upstream is asked again. `--sumdb NAME`: a checksum database, and its verdicts. `--build-cache`: all of that.
 *
 * MODULE stands for itself, not for modules below it. A version may also be a branch or a prefix, as
 * it was asked for. Lists stay when a version goes: the upstream still names it.
 */

import type { WritableStore } from '../core/control-port.ts';
import { messageOf } from '../core/errors.ts';
import { escapeBang, escapeModulePath, parseModulePath } from '../core/module-path.ts';
import { printable } from '../core/printable.ts';
import { formatSize } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import type { Forgotten, KeyRow } from '../core/store-port.ts';
import { UsageError } from '../core/usage-error.ts';
import { escapeVersion, unescapeVersion } from '../core/version.ts';
import type { StoreConfig } from '../settings/config.ts';
import { forgetDatabase } from '../sumdb/forget-database.ts';
import { isDatabaseName } from '../sumdb/sumdb-path.ts';
import { IMPORT_PREFIX } from '../tree/tree-import.ts';
import { isConfirmed } from './confirm.ts';
import { type OpenedStore, openStoreForWriting } from './writable-store.ts';

/** Keys and body bytes dropped in one transaction: the server's own writes wait behind it. */
const STEP_KEYS = 64;
const STEP_BYTES = 32 * 1024 * 1024;

export type ForgetOptions = {
  /** Modules, and versions of modules. */
  readonly names: readonly string[];
  readonly isBuildCache: boolean;
  /** The name of a checksum database. */
  readonly sumdb: string | undefined;
  /** Nobody needs to be asked. */
  readonly isSure: boolean;
};

/**
 * @throws {UsageError} a malformed name, nothing to forget, or nobody to ask
 * @throws {Error} nothing is stored of any of them, or the answer was no
 */
export async function forgetCommand(config: StoreConfig, options: ForgetOptions): Promise<void> {
  const { names, isBuildCache, sumdb, isSure } = options;
  if (names.length === 0 && !isBuildCache && sumdb === undefined) {
    throw new UsageError(`forget needs modules, --sumdb or --build-cache: see 'astera forget --help'`);
  }
  const targets = names.map(parseTarget);
  if (sumdb !== undefined) await askAboutSumdb(sumdb, isSure);
  const opened = await openStoreForWriting(config, { mayBeNew: false });
  const { store, close } = opened;
  try {
    if (sumdb !== undefined) await forgetSumdb(opened, sumdb);
    if (isBuildCache) await forgetBuildCache(store);
    if (targets.length > 0) await forgetModules(store, targets);
  } finally {
    await close();
  }
}

/** @throws {UsageError} no name of a database, or nobody to ask. @throws {Error} the answer was no */
async function askAboutSumdb(name: string, isSure: boolean): Promise<void> {
  if (!isDatabaseName(name)) {
    throw new UsageError(
      `bad value for --sumdb: ${quote(name)}: expected the name of a database, such as sum.golang.org`,
    );
  }
  if (isSure) return;
  const question = `Forget the checksum database ${name}? Only do this if it was rebuilt, and you trust the new one.`;
  if (!(await isConfirmed(question))) throw new Error('forgot nothing');
}

/** @throws {Error} nothing is stored of it */
async function forgetSumdb({ server, own }: OpenedStore, database: string): Promise<void> {
  const { files, verdicts } =
    server === undefined ? await forgetDatabase(own, database) : await server.forgetSumdb({ database });
  if (files + verdicts === 0)
    throw new Error(`cannot forget checksum database ${database}: nothing is stored of it`);
  process.stdout.write(
    `${database}: forgot ${files} files; ${verdicts} zips and go.mod files are unchecked again\n`,
  );
}

async function forgetBuildCache(store: WritableStore): Promise<void> {
  let [actions, outputs, bytes] = [0, 0, 0];
  for (let isDone = false; !isDone; ) {
    const step = await store.forgetActions({});
    actions += step.actions;
    outputs += step.outputs;
    bytes += step.storedBytes;
    isDone = step.isDone;
  }
  process.stdout.write(`build cache: forgot ${actions} actions, ${outputs} outputs (${formatSize(bytes)})\n`);
}

async function forgetModules(store: WritableStore, targets: readonly Target[]): Promise<void> {
  const missing: string[] = [];
  for (const target of targets) {
    const { answers, negatives, partials, bodyBytes } = await forgetOne(store, target);
    if (answers + negatives + partials === 0) missing.push(target.name);
    else
      process.stdout.write(
        `${target.name}: forgot ${answers} files (${formatSize(bodyBytes)}), ${negatives} 404s, ${partials} partial downloads\n`,
      );
  }
  if (missing.length === targets.length)
    throw new Error(`cannot forget ${missing.join(' ')}: nothing is stored of it`);
  for (const name of missing) process.stdout.write(`${printable(name)}: nothing is stored of it\n`);
}

/** Which keys: all of a prefix, or those that pass `isOf`. */
type Target = { readonly name: string; readonly prefix: string; readonly isOf: (key: string) => boolean };

function parseTarget(name: string): Target {
  const [path = '', version, ...rest] = name.split('@');
  try {
    const module = escapeModulePath(parseModulePath(path));
    if (version === undefined) return { name, prefix: `${module}/@`, isOf: () => true };
    if (rest.length > 0) throw new Error('more than one "@"');
    const asked = unescapeVersion(escapeBang(version));
    const prefix = `${module}/@v/${escapeVersion(asked.kind === 'version' ? asked.version : asked.query)}.`;
    return { name, prefix, isOf: (key) => /^(?:info|mod|zip)$/.test(key.slice(prefix.length)) };
  } catch (cause) {
    const why = messageOf(cause);
    throw new UsageError(`cannot forget ${quote(name)}: expected MODULE or MODULE@VERSION: ${why}`, {
      cause,
    });
  }
}

async function forgetOne(store: WritableStore, target: Target): Promise<Forgotten> {
  const total = { answers: 0, negatives: 0, partials: 0, bodyBytes: 0 };
  for await (const step of stepsOf(rowsOf(store, target))) {
    const forgotten = await store.forget({ keys: step });
    total.answers += forgotten.answers;
    total.negatives += forgotten.negatives;
    total.partials += forgotten.partials;
    total.bodyBytes += forgotten.bodyBytes;
  }
  return total;
}

/** Answers first, then partial downloads, then what broken imports left. */
async function* rowsOf(store: WritableStore, { prefix, isOf }: Target): AsyncGenerator<KeyRow> {
  yield* listed(store.getKeys, prefix, isOf);
  yield* listed(store.getPartialKeys, prefix, isOf);
  const isImportOf = (key: string) => isOf(key.slice(IMPORT_PREFIX.length));
  yield* listed(store.getPartialKeys, `${IMPORT_PREFIX}${prefix}`, isImportOf);
}

async function* listed(
  list: WritableStore['getKeys'],
  prefix: string,
  isOf: (key: string) => boolean,
): AsyncGenerator<KeyRow> {
  for (let after = ''; ; ) {
    const { rows } = await list({ prefix, after });
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.key;
    yield* rows.filter(({ key }) => isOf(key));
  }
}

async function* stepsOf(rows: AsyncIterable<KeyRow>): AsyncGenerator<string[]> {
  let keys: string[] = [];
  let bytes = 0;
  for await (const { key, size } of rows) {
    keys.push(key);
    bytes += size;
    if (keys.length < STEP_KEYS && bytes < STEP_BYTES) continue;
    yield keys;
    keys = [];
    bytes = 0;
  }
  if (keys.length > 0) yield keys;
}
