/** Refusals, and their words: one line, which `go` shows to its user. */

import { Forbidden, NotFound } from '../core/errors.ts';
import type { ModulePath } from '../core/module-path.ts';
import { formatDuration } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import type { Version } from '../core/version.ts';
import type { Policy } from './policy.ts';

export type Refusal = {
  readonly reason: 'denied' | 'too-young';
  /** A denied version is no 404: at a 404 `go` asks its next proxy, or the repository. */
  readonly error: Forbidden | NotFound;
  /** Until when it holds: Unix time. */
  readonly untilMs: number;
};

/** @param version undefined: all versions of the module */
export function denied(
  policy: Policy,
  module: ModulePath,
  version: Version | undefined,
): Refusal | undefined {
  const denial = version === undefined ? policy.denialOfAll(module) : policy.denialOf(module, version);
  if (denial === undefined) return undefined;
  const reason = denial.reason === '' ? '' : `: ${denial.reason}`;
  const rule = `denied by the policy of this server (${denial.text})`;
  const error = new Forbidden(`cannot give ${named(module, version)}: ${rule}${reason}`);
  return { reason: 'denied', error, untilMs: Infinity };
}

/** All times are Unix times in ms; `nowMs` is the server's clock. */
export type Youth = { readonly publishedMs: number; readonly ageMs: number; readonly nowMs: number };

export function tooYoung(
  module: ModulePath,
  version: Version,
  { publishedMs, ageMs, nowMs }: Youth,
): Refusal {
  const rule = `this server gives versions that are ${ageText(ageMs)} old`;
  const untilMs = publishedMs + ageMs;
  const fullMs = Math.ceil(untilMs / MINUTE_MS) * MINUTE_MS;
  const times = `it is of ${minute(publishedMs)} and will be here from ${minute(fullMs)} on (now ${minute(nowMs)})`;
  const error = new NotFound(`cannot give ${named(module, version)} yet: ${rule}; ${times}`);
  return { reason: 'too-young', error, untilMs };
}

const MINUTE_MS = 60_000;

function named(module: ModulePath, version: string | undefined): string {
  return quote(version === undefined ? module : `${module}@${version}`);
}

function ageText(ageMs: number): string {
  const days = Math.floor(ageMs / 86_400_000);
  const rest = ageMs % 86_400_000;
  if (days === 0) return formatDuration(ageMs);
  return `${days} ${days === 1 ? 'day' : 'days'}${rest === 0 ? '' : ` and ${formatDuration(rest)}`}`;
}

function minute(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? 'a time that is none' : `${time.toISOString().slice(0, 16)}Z`;
}
