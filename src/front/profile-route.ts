/** `/debug/pprof/…`, as Go's net/http/pprof has it: the kind of the profile, its length and its thread. */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { type ProfileRequest, threadRoles } from '../observe/profiles.ts';
import { PROFILE_SECONDS_MAX } from './limits.ts';

/** Go's own length of a CPU profile. */
const SECONDS = '30';

/**
 * @param path percent-encoded, without query
 * @param query the text behind the `?`. Unknown names in it are ignored, as `go tool pprof` may add some
 * @returns undefined: not the path of a profile
 * @throws {BadRequest} seconds out of bounds, or no such thread
 */
export function parseProfile(path: string, query: string): ProfileRequest | undefined {
  if (path !== '/debug/pprof/profile' && path !== '/debug/pprof/heap') return undefined;
  const wanted = new URLSearchParams(query);
  const thread = parseThread(wanted.get('thread'));
  if (path === '/debug/pprof/heap') return { kind: 'heap', thread };
  return { kind: 'cpu', thread, seconds: parseSeconds(wanted.get('seconds') ?? SECONDS) };
}

function parseThread(name: string | null): ProfileRequest['thread'] {
  if (name === null) return undefined;
  const role = threadRoles.find((one) => one === name);
  if (role !== undefined) return role;
  throw new BadRequest(`cannot profile thread ${quote(name)}: expected ${threadRoles.join(', ')}`);
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^[0-9]{1,4}$/.test(text) && seconds >= 1 && seconds <= PROFILE_SECONDS_MAX) return seconds;
  throw new BadRequest(`cannot profile for ${quote(text)} seconds: expected 1 to ${PROFILE_SECONDS_MAX}`);
}
