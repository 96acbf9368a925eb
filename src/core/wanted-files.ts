/**
 * Finds the modules in go.sum, go.mod, go.work and the output of `go list -m -json`, to fetch them beforehand.
 *
 * The parsers are lenient and only find modules: `go` decides whether a file is a valid go.mod. A module that is
 * replaced by a directory is not wanted. If another module replaces it, that one is wanted.
 * Follows https://go.dev/ref/mod#go-mod-file-lexical and cmd/go/internal/modfetch (go.sum's lines).
 */

import { messageOf } from './errors.ts';
import { parseModulePath } from './module-path.ts';
import { quote } from './quote.ts';
import { resourceKey } from './resource.ts';
import { parseVersion } from './version.ts';

/** The wanted files of a version: all of them, or only its go.mod if only the module graph needs it. */
export type Wanted = { readonly module: string; readonly version: string; readonly isModOnly: boolean };

export type FileForm = 'sum' | 'mod' | 'work' | 'json' | 'lines';

/** The form of a file, by its name, else by its first character: JSON begins with a brace. */
export function formOf(name: string, text: string): FileForm {
  const [, ending] = /\.(sum|mod|work)$/.exec(name) ?? [];
  if (ending !== undefined) return ending as FileForm;
  return text.trimStart().startsWith('{') ? 'json' : 'lines';
}

/** The wanted versions in a file. @throws {Error} the text does not have this form */
export function wantedOf(form: FileForm, text: string): Wanted[] {
  if (form === 'json') return ofJson(text);
  if (form === 'mod' || form === 'work') return ofMod(text);
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(form === 'sum' ? ofSumLine : ofLine);
}

/** The directories of a go.work file's `use` lines. */
export function usedDirectories(text: string): string[] {
  return directives(text).flatMap(([verb, directory]) =>
    verb === 'use' && directory !== undefined ? [directory] : [],
  );
}

/**
 * The keys of a version's wanted files.
 *
 * @throws {BadRequest} a malformed module path
 * @throws {Error} not a canonical version
 */
export function keysOf({ module, version, isModOnly }: Wanted): string[] {
  const path = parseModulePath(module);
  const canonical = parseVersion(version);
  if (canonical === undefined) {
    throw new Error(`not a canonical version: ${quote(`${module}@${version}`.slice(0, 200))}`);
  }
  const kinds = isModOnly ? (['mod'] as const) : (['info', 'mod', 'zip'] as const);
  return kinds.map((kind) => resourceKey({ kind, module: path, version: canonical }));
}

/** Reads a line of go.sum: `path v1.2.3 h1:…` is for a zip, `path v1.2.3/go.mod h1:…` for a go.mod. */
function ofSumLine(line: string): Wanted {
  const [module, version, hash, ...rest] = line.split(/\s+/);
  if (module === undefined || version === undefined || hash === undefined || rest.length > 0) {
    throw new Error(`not a line of go.sum: ${quote(line.slice(0, 200))}`);
  }
  const isModOnly = version.endsWith('/go.mod');
  return { module, version: isModOnly ? version.slice(0, -'/go.mod'.length) : version, isModOnly };
}

function ofLine(line: string): Wanted {
  const [, module, version] = /^([^@\s]+)@([^@\s]+)$/.exec(line) ?? [];
  if (module === undefined || version === undefined) {
    throw new Error(`not a line module@version: ${quote(line.slice(0, 200))}`);
  }
  return { module, version, isModOnly: false };
}

function ofMod(text: string): Wanted[] {
  const required: Wanted[] = [];
  const replaced = new Map<string, Wanted | undefined>();
  for (const [verb, ...words] of directives(text)) {
    if (verb === 'replace') {
      const arrow = words.indexOf('=>');
      const [module, version] = words.slice(arrow + 1);
      const target = module === undefined || version === undefined ? undefined : { module, version };
      replaced.set(words.slice(0, Math.max(0, arrow)).join('@'), target && { ...target, isModOnly: false });
    }
    const [module, version] = words;
    if (verb !== 'require' || module === undefined || version === undefined) continue;
    required.push({ module, version, isModOnly: false });
  }
  const kept = required.filter(
    ({ module, version }) => !replaced.has(module) && !replaced.has(`${module}@${version}`),
  );
  return [...kept, ...[...replaced.values()].filter((target) => target !== undefined)];
}

/** The words of each line, with the verb first, also for lines in a block. Comments and quotes are removed. */
function directives(text: string): string[][] {
  let block: string | undefined;
  const found: string[][] = [];
  for (const line of text.split('\n')) {
    const words = wordsOf(line.replace(/(^|\s)\/\/.*$/, ''));
    if (words.length === 0) continue;
    if (words[0] === ')') block = undefined;
    else if (words.at(-1) === '(') block = words[0];
    else found.push(block === undefined ? words : [block, ...words]);
  }
  return found;
}

function wordsOf(line: string): string[] {
  const spaced = line.replace(/(^|\s)(\w+)\(\s*$/, '$1$2 (');
  return Array.from(spaced.matchAll(/"([^"]*)"|`([^`]*)`|(\S+)/g), (m) => m[1] ?? m[2] ?? m[3] ?? '');
}

type Listed = { Path?: unknown; Version?: unknown; Main?: unknown; Replace?: Listed };

/** Reads JSON objects one after the other, as `go list -m -json all` prints them. */
function ofJson(text: string): Wanted[] {
  return objectsOf(text).flatMap((object) => {
    const { Main, Replace } = object;
    const { Path, Version } = Replace ?? object;
    if (Main === true || typeof Path !== 'string' || typeof Version !== 'string') return [];
    return [{ module: Path, version: Version, isModOnly: false }];
  });
}

/** The text of each object: `go` prints its braces on lines of their own. */
function objectsOf(text: string): Listed[] {
  return text
    .split(/^(?=\{)/m)
    .filter((part) => part.trim() !== '')
    .map((part) => {
      try {
        return JSON.parse(part) as Listed;
      } catch (cause) {
        throw new Error(`not the output of go list -m -json: ${messageOf(cause)}`, { cause });
      }
    });
}
