/**
 * What is in the files of a vulnerability database, as far as it is used here. Whatever else they hold goes to the clients
 * as it came.
 *
 * Follows https://go.dev/doc/security/vuln/database and https://ossf.github.io/osv-schema.
 */

import { UpstreamFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** A module in `index/modules`. */
export type VulnModule = { readonly path: string; readonly vulns: readonly IndexedVuln[] };

/** A report, as the index has it. `fixed` is the newest version that has a fix, without a "v"; undefined: none has. */
export type IndexedVuln = {
  readonly id: string;
  /** RFC 3339. Times of one database compare as text only by {@link timeOf}. */
  readonly modified: string;
  readonly fixed: string | undefined;
};

/** A report. */
export type VulnReport = {
  readonly id: string;
  readonly modified: string;
  /** It was taken back, so it concerns nobody. */
  readonly isWithdrawn: boolean;
  /** One line for people; may be empty. */
  readonly summary: string;
  readonly affected: readonly AffectedModule[];
};

export type AffectedModule = { readonly path: string; readonly ranges: readonly VersionRange[] };

/** Versions without a "v". Events are in no order. */
export type VersionRange = { readonly type: string; readonly events: readonly RangeEvent[] };

export type RangeEvent = { readonly introduced: string | undefined; readonly fixed: string | undefined };

/** The time in `index/db`. @throws {UpstreamFailed} it is none */
export function parseDb(text: string): string {
  return timeIn(objectOf(parse(text, 'index/db'), 'index/db'), 'index/db');
}

/** @throws {UpstreamFailed} it is no `index/modules` */
export function parseModules(text: string): VulnModule[] {
  const where = 'index/modules';
  return listOf(parse(text, where), where).map((one) => {
    const { path, vulns } = objectOf(one, where);
    return {
      path: textOf(path, where),
      vulns: listOf(vulns, where).map((vuln) => {
        const fields = objectOf(vuln, where);
        const { id, fixed } = fields;
        return { id: textOf(id, where), modified: timeIn(fields, where), fixed: textIn(fixed) };
      }),
    };
  });
}

/** Checks that it is an `index/vulns`. @throws {UpstreamFailed} it is not */
export function checkVulns(text: string): void {
  const where = 'index/vulns';
  for (const one of listOf(parse(text, where), where)) {
    const fields = objectOf(one, where);
    textOf(fields.id, where);
    timeIn(fields, where);
  }
}

/** @throws {UpstreamFailed} it is not the report `id` */
export function parseReport(text: string, id: string): VulnReport {
  const where = `ID/${id}`;
  const fields = objectOf(parse(text, where), where);
  if (fields.id !== id) throw refused(where, 'it has another ID');
  return {
    id,
    modified: timeIn(fields, where),
    isWithdrawn: typeof fields.withdrawn === 'string',
    summary: textIn(fields.summary) ?? '',
    affected: listIn(fields.affected).map((one) => {
      const { package: named, ranges } = objectOf(one, where);
      return {
        path: textOf(objectOf(named, where).name, where),
        ranges: listIn(ranges).map((range) => {
          const { type, events } = objectOf(range, where);
          return {
            type: textOf(type, where),
            events: listIn(events).map((event) => {
              const { introduced, fixed } = objectOf(event, where);
              return { introduced: textIn(introduced), fixed: textIn(fixed) };
            }),
          };
        }),
      };
    }),
  };
}

/** A time in ms. @param time one of a parsed file */
export function timeOf(time: string): number {
  return Date.parse(time);
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refused(where, 'it is not JSON');
  }
}

type Fields = Readonly<Record<string, unknown>>;

function objectOf(value: unknown, where: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw refused(where, 'an object is missing');
}

function listOf(value: unknown, where: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw refused(where, 'a list is missing');
}

function listIn(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw refused(where, 'a text is missing');
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function timeIn({ modified }: Fields, where: string): string {
  const time = textOf(modified, where);
  if (Number.isNaN(Date.parse(time))) throw refused(where, 'a time is malformed');
  return time;
}

function refused(where: string, why: string): UpstreamFailed {
  return new UpstreamFailed(`vulnerability database sent no ${quote(where)}: ${why}`);
}
