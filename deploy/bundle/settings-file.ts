/** `astera.conf` of a bundle: the settings that a machine without Go cannot find by itself. */

import { execFileSync } from 'node:child_process';

export type SettingsFile = {
  readonly text: string;
  /** Shown to whoever builds: no upstream, or one that is of no use elsewhere. */
  readonly warning: string | undefined;
};

const HEAD = `# Settings of Astera: a line "name = value" for each flag of "astera serve --help".
# A flag on the command line and a variable ASTERA_NAME override a line here.

# The proxies to fetch from, in the form of GOPROXY.
`;

/**
 * Makes the file for a GOPROXY list.
 *
 * A list with a password is not written: everybody may read a bundle.
 */
export function settingsFile(upstream: string | undefined): SettingsFile {
  if (upstream === undefined || upstream === '') return { text: `${HEAD}${NONE}`, warning: NO_UPSTREAM };
  if (/[\r\n]/.test(upstream)) throw new Error('cannot use this upstream: it has several lines');
  if (/\/\/[^/@,|]*@/.test(upstream)) return { text: `${HEAD}${NONE}`, warning: HAS_PASSWORD };
  const isLocal = /\/\/(?:localhost|127\.|\[::1\])/.test(upstream);
  return { text: `${HEAD}upstream = ${upstream}\n`, warning: isLocal ? IS_LOCAL : undefined };
}

/** This machine's `go env GOPROXY`; undefined without Go. */
export function goProxy(): string | undefined {
  try {
    return execFileSync('go', ['env', 'GOPROXY'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

const NONE = '# upstream = https://proxy.example,direct\n';
const WAY_OUT = 'name one by UPSTREAM=https://proxy.example, or later in astera.conf';
const NO_UPSTREAM = `the bundle has no upstream, as there is no Go here: ${WAY_OUT}`;
const HAS_PASSWORD = `the bundle has no upstream, as GOPROXY holds a password: ${WAY_OUT}`;
const IS_LOCAL = `the bundle's upstream is an address of this machine, which is of no use on another: ${WAY_OUT}`;
