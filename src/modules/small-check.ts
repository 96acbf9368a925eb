/**
 * What must hold of a small answer before it is kept: `.info`, `.mod`, lists and `@latest`.
 *
 * As strict as the `go` command is with them (cmd/go/internal/modfetch/proxy.go), no stricter:
 * an odd file that works online must work through us.
 */

import { CheckFailed } from '../core/errors.ts';
import type { Resource } from '../core/resource.ts';
import { parseVersion } from '../core/version.ts';

/** @throws {CheckFailed} it is not what was asked for */
export function checkSmall(resource: Resource, key: string, bytes: Uint8Array): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (/^\s*</.test(text))
    throw new CheckFailed(`cannot take ${JSON.stringify(key)}: it is markup, not a Go file`);
  if (resource.kind === 'info') checkInfo(key, text, resource.version);
  else if (resource.kind === 'latest' || resource.kind === 'query') checkInfo(key, text, undefined);
}

function checkInfo(key: string, text: string, asked: string | undefined): void {
  const version = versionOf(key, text);
  if (asked !== undefined && version !== asked) {
    throw new CheckFailed(
      `cannot take ${JSON.stringify(key)}: it is of version ${JSON.stringify(version.slice(0, 80))}`,
    );
  }
  if (parseVersion(version) === undefined) {
    throw new CheckFailed(
      `cannot take ${JSON.stringify(key)}: not a canonical version: ${JSON.stringify(version.slice(0, 80))}`,
    );
  }
}

function versionOf(key: string, text: string): string {
  const { version, time, origin } = fieldsOf(key, text);
  if (typeof version !== 'string') {
    throw new CheckFailed(`cannot take ${JSON.stringify(key)}: JSON without a Version`);
  }
  if (time !== undefined && !isTime(time)) {
    throw new CheckFailed(`cannot take ${JSON.stringify(key)}: JSON with a Time that is none`);
  }
  if (origin !== undefined && (typeof origin !== 'object' || Array.isArray(origin))) {
    throw new CheckFailed(`cannot take ${JSON.stringify(key)}: JSON with an Origin that is none`);
  }
  return version;
}

/** By name in small letters: to Go's encoding/json case is all one, and null is as good as nothing. */
function fieldsOf(key: string, text: string): Readonly<Record<string, unknown>> {
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch {
    throw new CheckFailed(
      `cannot take ${JSON.stringify(key)}: not JSON: ${JSON.stringify(text.slice(0, 40))}`,
    );
  }
  const fields = Object.entries(typeof info === 'object' && info !== null ? info : {});
  return Object.fromEntries(
    fields.filter(([, value]) => value !== null).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

/** As lax as UnmarshalJSON of Go's time.Time, which takes a comma, and an hour of one digit. */
function isTime(time: unknown): boolean {
  const date = typeof time === 'string' ? TIME.exec(time)?.[1] : undefined;
  if (date === undefined) return false;
  const day = new Date(`${date}T00:00:00Z`);
  // Date takes February 30 for March 1.
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}

const TIME =
  /^(\d{4}-\d\d-\d\d)T(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:Z|[+-](?:[01]\d|2[0-4]):[0-5]\d)$/;
