/**
 * How `connect` tells a plugin server which `go` command it serves: the server can see neither its directory, nor its
 * environment, nor its command line, and needs the name to prefetch.
 *
 * A server that takes names says so among the commands of its greeting. Only then one line comes before all requests. It has
 * no answer:
 *
 *     {"ID":0,"Command":"session","Key":"<hex>","Project":"<hex>","Module":"<hex>","Label":"go build linux/amd64 …"}
 *
 * So neither a plain client, such as go-cache-plugin's, nor another plugin server ever meets it.
 */

import { SESSION_LABEL_LENGTH_MAX } from '../core/limits.ts';
import { isLabel, isSessionKey } from '../core/session-wire.ts';
import type { CommandName } from './session-name.ts';

/** The command's word. */
export const NAME_COMMAND = 'session';

/** The line, with its end. */
export function encodeName({ key, project, module, label }: CommandName): string {
  const fields = { Key: key, Project: project, Module: module, Label: label };
  return `${JSON.stringify({ ID: 0, Command: NAME_COMMAND, ...fields })}\n`;
}

/** The name in such a line's fields; undefined: anybody else's, who then has no name. */
export function readName(fields: Readonly<Record<string, unknown>>): CommandName | undefined {
  const { Key: key, Project: project, Module: module, Label: label } = fields;
  const isNamed = isKey(key) && isKey(project) && isKey(module);
  if (!isNamed || typeof label !== 'string' || !isLabel(label, SESSION_LABEL_LENGTH_MAX)) return undefined;
  return { key, project, module, label };
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && isSessionKey(value);
}
