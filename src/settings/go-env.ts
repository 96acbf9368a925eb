/**
 * Go's own settings, from the places where the `go` command looks: the environment, then the file that `go env -w` writes.
 * They are read here and not asked of `go`, so that they count on machines without Go too. A module that GOPRIVATE names
 * there is then not made known to an upstream.
 *
 * Follows cmd/go/internal/cfg/cfg.go: EnvFile, readEnvFile.
 */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export type Env = Readonly<Record<string, string | undefined>>;

/** A page at most, really; past it, it is none of Go's. */
const FILE_BYTES_MAX = 65_536;

export class GoEnv {
  readonly #env: Env;
  readonly #file: ReadonlyMap<string, string>;

  constructor(env: Env) {
    this.#env = env;
    const path = filePath(env);
    this.#file = path === undefined ? new Map() : readEnvFile(path);
  }

  /** A setting and where it stood; an empty one counts as unset, as it does for `go`. */
  find(name: string): { readonly text: string; readonly from: string } | undefined {
    const own = this.#env[name];
    if (own) return { text: own, from: name };
    const written = this.#file.get(name);
    return written ? { text: written, from: `${name} of go env -w` } : undefined;
  }
}

function filePath({ GOENV, XDG_CONFIG_HOME, HOME }: Env): string | undefined {
  if (GOENV) return GOENV === 'off' ? undefined : GOENV;
  if (XDG_CONFIG_HOME) return join(XDG_CONFIG_HOME, 'go/env');
  return HOME ? join(HOME, '.config/go/env') : undefined;
}

/** Reads a file of `go env -w`. As in `go`, an unreadable file and lines without a setting are skipped. */
function readEnvFile(path: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of textOf(path).split('\n')) {
    const [, name, text] = /^([A-Z][^=]*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && text !== undefined) settings.set(name, text);
  }
  return settings;
}

function textOf(path: string): string {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= FILE_BYTES_MAX ? readFileSync(path, 'utf8') : '';
  } catch {
    return '';
  }
}
