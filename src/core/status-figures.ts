/** Figures that the status page and its text form make of a status in the same way. */

import type { Minute, TotalName } from './status.ts';

/** Answers that needed no source. */
export const HITS: readonly TotalName[] = ['memory', 'store'];

/** Answers, wherever they came from. */
export const ANSWERS: readonly TotalName[] = [
  'memory',
  'store',
  'stale',
  'computed',
  'upstream',
  'git',
  'bucket',
];

/** The sum of what was counted under these names. */
export function sumOf(counted: Partial<Record<TotalName, number>>, names: readonly TotalName[]): number {
  return names.reduce((sum, name) => sum + (counted[name] ?? 0), 0);
}

/** The same over some minutes. */
export function sumOfMinutes(minutes: readonly Minute[], names: readonly TotalName[]): number {
  return minutes.reduce((sum, minute) => sum + sumOf(minute, names), 0);
}

/** A part of a whole as `98.2 %`; undefined: the whole is nothing. Only all of it is 100 %. */
export function percent(part: number, whole: number): string | undefined {
  if (whole === 0) return undefined;
  const tenths = Math.round((part / whole) * 1000);
  const shown = part < whole ? Math.min(tenths, 999) : tenths;
  return `${(shown / 10).toFixed(shown === 1000 ? 0 : 1)} %`;
}

/** A step of setting up a client, and its lines for a shell. */
export type ShellStep = { readonly title: string; readonly lines: readonly string[] };

/** @param origin of the server, as {@link originOf} gives it */
export function shellSteps(origin: string): readonly ShellStep[] {
  return [
    { title: 'Modules and checksums', lines: [`go env -w GOPROXY=${origin},direct`] },
    {
      title: 'Build cache (any Node from 20 on)',
      lines: [
        `curl -o ~/cacheprog.mjs ${origin}/cacheprog.mjs`,
        `go env -w GOCACHEPROG="node $HOME/cacheprog.mjs --remote=${origin}" GOFLAGS=-trimpath`,
      ],
    },
  ];
}

/**
 * The server's origin by the name that a client used. The name comes from outside, and its lines go into shells: any other
 * than a plain one is left out.
 */
export function originOf(host: string, isSecure: boolean): string {
  const plain = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?$/.test(host);
  return `${isSecure ? 'https' : 'http'}://${plain ? host : 'that-machine:8080'}`;
}
