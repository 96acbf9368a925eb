/**
 * Detects loops. If GOPROXY names Astera on Astera's own machine, Astera is its own upstream, and a flight would wait
 * for itself. So each request lists the proxies that it has passed, in `Via` (RFC 9110, 7.6.3).
 */

import { Loop } from './errors.ts';
import { VIA_ASTERAS_MAX, VIA_LENGTH_MAX } from './limits.ts';

const PREFIX = 'astera-';

/**
 * The `Via` header for the upstream: the client's own, and this instance after it.
 *
 * @throws {Loop} the request has passed this instance, or VIA_ASTERAS_MAX Asteras, or its header is over VIA_LENGTH_MAX
 */
export function nextVia(via: string | undefined, instance: string): string {
  const own = `${PREFIX}${instance}`.toLowerCase();
  const entry = `1.1 ${PREFIX}${instance}`;
  if (via === undefined || via.trim() === '') return entry;
  if (via.length > VIA_LENGTH_MAX) throw new Loop(`refused: Via of ${via.length} characters: a proxy loop`);
  const passed = via.split(',').map(receivedBy);
  if (passed.includes(own)) {
    throw new Loop('refused: this request has been here before: Astera is its own upstream');
  }
  const asteras = passed.filter((name) => name.startsWith(PREFIX)).length;
  if (asteras >= VIA_ASTERAS_MAX) throw new Loop(`refused: this request has passed ${asteras} Asteras`);
  return `${via.replace(/[^\x20-\x7e]+/g, ' ').trim()}, ${entry}`;
}

// An entry is "protocol received-by (comment)".
function receivedBy(entry: string): string {
  return (entry.trim().split(/\s+/)[1] ?? '').toLowerCase();
}
