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
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch {
    throw new CheckFailed(
      `cannot take ${JSON.stringify(key)}: not JSON: ${JSON.stringify(text.slice(0, 40))}`,
    );
  }
  const fields =
    typeof info === 'object' && info !== null ? (info as { Version?: unknown; Time?: unknown }) : {};
  if (typeof fields.Version !== 'string') {
    throw new CheckFailed(`cannot take ${JSON.stringify(key)}: JSON without a Version`);
  }
  if (fields.Time !== undefined && Number.isNaN(Date.parse(String(fields.Time)))) {
    throw new CheckFailed(`cannot take ${JSON.stringify(key)}: JSON with a Time that is none`);
  }
  return fields.Version;
}
