/** The content of an `.info` that a policy looks at. Any field may be missing or wrong: an upstream wrote it. */

import { parseVersion, type Version } from '../core/version.ts';

/** `publishedMs`: Unix time; undefined where none is given. Go's zero time, of the year 1, is none. */
export type InfoFacts = { readonly version: Version | undefined; readonly publishedMs: number | undefined };

/** Reads an `.info`. Go's encoding/json ignores the case of names, and takes the last of several. */
export function readInfo(text: string): InfoFacts {
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch {
    return { version: undefined, publishedMs: undefined };
  }
  const fields = Object.entries(typeof info === 'object' && info !== null ? info : {});
  const last = (wanted: string): unknown => fields.findLast(([name]) => name.toLowerCase() === wanted)?.[1];
  const [version, time] = [last('version'), last('time')];
  return {
    version: typeof version === 'string' ? parseVersion(version) : undefined,
    publishedMs: typeof time === 'string' ? parseTime(time) : undefined,
  };
}

/** As lax as UnmarshalJSON of Go's time.Time, which takes a comma and an hour of one digit. */
function parseTime(text: string): number | undefined {
  const [, date, hour = '', rest = '', zone = ''] = TIME.exec(text) ?? [];
  if (date === undefined || date < '0002') return undefined;
  const localMs = Date.parse(`${date}T${hour.padStart(2, '0')}:${rest}Z`);
  if (Number.isNaN(localMs)) return undefined;
  const [, sign, hours = '0', minutes = '0'] = /^([+-])(..):(..)$/.exec(zone) ?? [];
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000;
  return sign === '-' ? localMs + offsetMs : localMs - offsetMs;
}

// Whole seconds: no age is counted more finely.
const TIME = /^(\d{4}-\d\d-\d\d)T(\d{1,2}):(\d\d:\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:\d\d)$/;
