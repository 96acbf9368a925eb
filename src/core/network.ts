/**
 * IP addresses and networks as bytes in network order: 4 for IPv4, 16 for IPv6.
 *
 * Text is read as strictly as in Go's net/netip: no leading zeros, no zones. An IPv4 address in the form of an IPv6 one
 * (`::ffff:10.0.0.1`) is read as the IPv4 address, so that a dual-stack socket makes no difference.
 */

import { BadRequest } from './errors.ts';
import { quote } from './quote.ts';

/** All addresses whose first `bits` bits are those of `bytes`. The other bits of `bytes` are 0. */
export type Network = { readonly bytes: Uint8Array; readonly bits: number };

/** The addresses that only programs of this machine have: 127.0.0.0/8 and ::1. */
export const LOOPBACK: readonly Network[] = [
  { bytes: Uint8Array.of(127, 0, 0, 0), bits: 8 },
  { bytes: new Uint8Array(16).fill(1, 15), bits: 128 },
];

/**
 * Reads a comma-separated list of networks, such as `loopback,192.168.1.0/24,fd00::/8`. `loopback` stands for this
 * machine's own addresses. A single address is a network of itself. `none` alone is the empty list.
 *
 * @throws {BadRequest} an empty item, another form, or bits behind the prefix that are not 0: a mistyped mask opens too
 * much
 */
export function parseNetworks(text: string): readonly Network[] {
  if (text.trim() === 'none') return [];
  return text.split(',').flatMap((item) => {
    const name = item.trim();
    return name === 'loopback' ? LOOPBACK : [parseNetwork(name)];
  });
}

/** The bytes of an IPv4 or IPv6 address; undefined if `text` is no address. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Whether `address`, a result of {@link plainIp}, is in one of `networks`. */
export function isWithin(networks: readonly Network[], address: Uint8Array): boolean {
  return networks.some(({ bytes, bits }) => {
    if (bytes.byteLength !== address.byteLength) return false;
    return bytes.every((byte, at) => ((byte ^ (address[at] ?? 0)) & maskOf(bits, at)) === 0);
  });
}

/** The IPv4 address in an IPv4-mapped IPv6 address; any other address unchanged. */
export function plainIp(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === 16 && MAPPED.every((byte, at) => bytes[at] === byte)
    ? bytes.subarray(12)
    : bytes;
}

/** An address for people: `192.168.1.7`, or the eight groups of an IPv6 address. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.byteLength === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let at = 0; at + 1 < bytes.byteLength; at += 2) {
    groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  }
  return groups.join(':');
}

/** The first 12 bytes of an IPv4-mapped address (RFC 4291, 2.5.5.2). */
const MAPPED: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** The longest text of an address, that of a mapped one: INET6_ADDRSTRLEN without its NUL. */
const IP_LENGTH_MAX = 45;

function parseNetwork(text: string): Network {
  const [, name = '', digits] = /^([^/]*)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text) ?? [];
  const bytes = parseIp(name);
  const bits = digits === undefined ? (bytes?.byteLength ?? 0) * 8 : Number(digits);
  if (bytes === undefined || bits > bytes.byteLength * 8) throw notNetwork(text);
  if (bytes.some((byte, at) => (byte & ~maskOf(bits, at) & 0xff) !== 0)) throw notNetwork(text);
  return networkOf(bytes, bits);
}

/** The first `bits` bits of an address. For an IPv4-mapped one whose prefix reaches into it, the IPv4 network. */
export function networkOf(bytes: Uint8Array, bits: number): Network {
  const plain = bits >= MAPPED.length * 8 ? plainIp(bytes) : bytes;
  return { bytes: plain, bits: bits - (bytes.byteLength - plain.byteLength) * 8 };
}

function notNetwork(text: string): BadRequest {
  return new BadRequest(`not a network: ${quote(text.slice(0, 60))}`);
}

/** The mask of byte `at` in a prefix of `bits` bits. */
function maskOf(bits: number, at: number): number {
  const own = Math.min(8, Math.max(0, bits - at * 8));
  return (0xff << (8 - own)) & 0xff;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  const isPlain = parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part));
  if (!isPlain || parts.some((part) => Number(part) > 255)) return undefined;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length > IP_LENGTH_MAX) return undefined;
  const halves = text.split('::');
  const [head, tail] = halves.map((half, index) => parseGroups(half, index === halves.length - 1));
  if (halves.length > 2 || head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? Uint8Array.from(head) : undefined;
  // "::" stands for at least one group of zeros.
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of groups without "::". The last group of an address may be an IPv4 address. */
function parseGroups(text: string, isLast: boolean): readonly number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    const ipv4 = isLast && index === groups.length - 1 && group.includes('.') ? parseIpv4(group) : undefined;
    if (ipv4 !== undefined) bytes.push(...ipv4);
    else if (/^[0-9A-Fa-f]{1,4}$/.test(group))
      bytes.push(parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff);
    else return undefined;
  }
  return bytes;
}
