/**
 * The check of a small answer before it is kept: `.info`, `.mod`, lists and `@latest`.
 *
 * It is as strict as the `go` command (cmd/go/internal/modfetch/proxy.go) and no stricter. An odd file that works
 * with `go` directly must work through Astera.
 */

import { CheckFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Resource } from '../core/resource.ts';
import { parseVersion } from '../core/version.ts';

/**
 * Checks that `bytes` can be the answer to `resource`: no markup, and an `.info` that Go can read.
 *
 * @throws {CheckFailed} it is no such answer, or the `.info` of another version
 */
export function checkSmall(resource: Resource, key: string, bytes: Uint8Array): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (/^\s*</.test(text)) throw new CheckFailed(`cannot take ${quote(key)}: it is markup, not a Go file`);
  if (resource.kind === 'info') checkInfo(key, text, resource.version);
  else if (resource.kind === 'latest' || resource.kind === 'query') checkInfo(key, text, undefined);
}

function checkInfo(key: string, text: string, asked: string | undefined): void {
  const version = versionOf(key, text);
  if (asked !== undefined && version !== asked) {
    throw new CheckFailed(`cannot take ${quote(key)}: it is of version ${quote(version.slice(0, 80))}`);
  }
  if (parseVersion(version) === undefined) {
    throw new CheckFailed(
      `cannot take ${quote(key)}: not a canonical version: ${quote(version.slice(0, 80))}`,
    );
  }
}

function versionOf(key: string, text: string): string {
  const { version, time, origin } = fieldsOf(key, text);
  if (typeof version !== 'string') {
    throw new CheckFailed(`cannot take ${quote(key)}: JSON without a Version`);
  }
  if (time !== undefined && !isTime(time)) {
    throw new CheckFailed(`cannot take ${quote(key)}: JSON with a Time that is none`);
  }
  if (origin !== undefined && (typeof origin !== 'object' || Array.isArray(origin))) {
    throw new CheckFailed(`cannot take ${quote(key)}: JSON with an Origin that is none`);
  }
  return version;
}

/** The fields by lower-case name, without nulls: Go's encoding/json ignores a name's case, and null sets nothing. */
function fieldsOf(key: string, text: string): Readonly<Record<string, unknown>> {
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch {
    throw new CheckFailed(`cannot take ${quote(key)}: not JSON: ${quote(text.slice(0, 40))}`);
  }
  const fields = Object.entries(typeof info === 'object' && info !== null ? info : {});
  return Object.fromEntries(
    fields.filter(([, value]) => value !== null).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

/** As lax as UnmarshalJSON of Go's time.Time, which accepts a comma and an hour of one digit. */
function isTime(time: unknown): boolean {
  const date = typeof time === 'string' ? TIME.exec(time)?.[1] : undefined;
  if (date === undefined) return false;
  const day = new Date(`${date}T00:00:00Z`);
  // Date turns February 30 into March 1.
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}

const TIME =
  /^(\d{4}-\d\d-\d\d)T(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:Z|[+-](?:[01]\d|2[0-4]):[0-5]\d)$/;
