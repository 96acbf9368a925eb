/**
 * Signed notes: a text, a blank line, and a line for each signature.
 *
 * A note counts only if a known key signed it. Signatures by other keys are ignored. A wrong signature by a known key
 * makes the note invalid.
 *
 * Follows golang.org/x/mod/sumdb/note/note.go, whose package comment is the format.
 */

import { isUtf8 } from 'node:buffer';
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { BadRequest, CheckFailed } from '../core/errors.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import { decodeBase64 } from './base64.ts';

/** A public key and the name it signs for. */
export type NoteVerifier = {
  /** The database's name, such as `sum.golang.org`. */
  readonly name: string;
  /** First 4 bytes of a SHA-256 over name and key, in lower-case hex. */
  readonly keyHash: string;
  readonly key: KeyObject;
};

export type NoteSignature = { readonly name: string; readonly keyHash: string; readonly base64: string };

export type Note = {
  /** The signed text; it ends in a newline. */
  readonly text: string;
  /** The signatures by known keys, all of them right. At least one; one for each key. */
  readonly verified: readonly NoteSignature[];
  /** The signatures by unknown keys. They prove nothing. */
  readonly unknown: readonly NoteSignature[];
};

/** A trusted key did not sign this note. This is worse than a malformed note. */
export class BadSignature extends CheckFailed {}

/**
 * Reads a verifier key: `name+hash+base64`. The base64 holds one byte for the algorithm and the key's bytes.
 *
 * @throws {BadRequest} it is malformed, its hash is of another key, or its algorithm is not Ed25519
 */
export function parseVerifierKey(text: string): NoteVerifier {
  const [, name = '', keyHash = '', base64 = ''] = VERIFIER_KEY.exec(text) ?? [];
  const bytes = decodeBase64(base64);
  if (!isKeyName(name) || bytes === undefined || bytes.length === 0) throw badKey('malformed', text);
  if (hashOfKey(name, bytes) !== keyHash.toLowerCase()) throw badKey('its hash is of another key', text);
  if (bytes[0] !== ALGORITHM_ED25519) throw badKey('unknown algorithm', text);
  if (bytes.length !== 1 + ED25519_BYTES) throw badKey('malformed', text);
  const x = bytes.toString('base64url', 1);
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return { name, keyHash: keyHash.toLowerCase(), key };
}

/**
 * Opens a note that at least one of `verifiers` signed.
 *
 * @throws {BadSignature} a known key's signature is wrong, or no known key signed
 * @throws {CheckFailed} malformed, too long, or more than SIGNATURES_MAX signatures
 */
export function openNote(message: Uint8Array, verifiers: readonly NoteVerifier[]): Note {
  const { text, lines } = splitNote(message);
  const verified = new Map<string, NoteSignature>();
  const unknown = new Map<string, NoteSignature>();
  for (const [at, line] of lines.entries()) {
    const signature = parseSignature(line);
    // Each line is counted in turn, so that the error names the first fault in the note.
    if (signature === undefined || at >= SIGNATURES_MAX) throw malformed(message);
    const verifier = findVerifier(verifiers, signature);
    if (verifier === undefined) unknown.set(line, signature);
    else if (!verified.has(keyName(verifier)))
      verified.set(keyName(verifier), checked(signature, text, verifier));
  }
  if (verified.size === 0)
    throw new BadSignature(`cannot open note: no signature by ${verifiers.map(keyName).join(' or ')}`);
  return { text: text.toString('utf8'), verified: [...verified.values()], unknown: [...unknown.values()] };
}

/** Whether all signatures of a well-formed note name other keys, so that it is of another database. */
export function isOfOthers(message: Uint8Array, verifier: NoteVerifier): boolean {
  const signatures = splitNote(message).lines.map(parseSignature);
  return signatures.every((one) => one !== undefined && findVerifier([verifier], one) === undefined);
}

/**
 * The note with its verified signatures only.
 *
 * Go's own client keeps the others in its notes (x/mod/sumdb/note, UnverifiedSigs). They prove nothing and may hold any
 * text. An upstream could send such text to every client behind this Astera.
 */
export function formatNote({ text, verified }: Note): Uint8Array {
  const lines = verified.map(({ name, base64 }) => `— ${name} ${base64}\n`);
  return new TextEncoder().encode(`${text}\n${lines.join('')}`);
}

/** The text with its newline, and the signature lines without newlines. */
function splitNote(message: Uint8Array): { text: Buffer; lines: string[] } {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const split = bytes.lastIndexOf('\n\n');
  const isWhole = split >= 0 && split + 2 < bytes.length && bytes.at(-1) === LF;
  if (!isWhole || bytes.length > SUMDB_ANSWER_BYTES_MAX || !isGraphicText(bytes)) throw malformed(message);
  const lines = bytes.toString('utf8', split + 2, bytes.length - 1).split('\n', SIGNATURES_MAX + 1);
  return { text: bytes.subarray(0, split + 1), lines };
}

function isGraphicText(bytes: Uint8Array): boolean {
  return isUtf8(bytes) && bytes.every((byte) => byte >= 0x20 || byte === LF);
}

function parseSignature(line: string): NoteSignature | undefined {
  const [, name = '', base64 = ''] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = decodeBase64(base64);
  if (!isKeyName(name) || bytes === undefined || bytes.length < KEY_HASH_BYTES + 1) return undefined;
  return { name, keyHash: bytes.toString('hex', 0, KEY_HASH_BYTES), base64 };
}

function findVerifier(
  verifiers: readonly NoteVerifier[],
  signature: NoteSignature,
): NoteVerifier | undefined {
  return verifiers.find(({ name, keyHash }) => name === signature.name && keyHash === signature.keyHash);
}

function checked(signature: NoteSignature, text: Uint8Array, verifier: NoteVerifier): NoteSignature {
  const bytes = Buffer.from(signature.base64, 'base64').subarray(KEY_HASH_BYTES);
  if (verify(null, text, verifier.key, bytes)) return signature;
  throw new BadSignature(`cannot open note: bad signature by ${keyName(verifier)}`);
}

/** A key's name in messages: its database and its hash. */
function keyName({ name, keyHash }: { name: string; keyHash: string }): string {
  return `${name}+${keyHash}`;
}

function hashOfKey(name: string, key: Uint8Array): string {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), key]), 'hex').slice(0, 2 * KEY_HASH_BYTES);
}

function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\p{White_Space}+]/u.test(name);
}

function malformed(message: Uint8Array): CheckFailed {
  const start = Buffer.from(message.subarray(0, 100)).toString('utf8');
  return new CheckFailed(`cannot open note: malformed: ${message.length} bytes: ${quote(start)}`);
}

function badKey(why: string, text: string): BadRequest {
  return new BadRequest(`cannot read verifier key: ${why}: ${quote(text.slice(0, 200))}`);
}

/** Signatures in a note, as in Go. The bound keeps the reading of a note short. */
const SIGNATURES_MAX = 100;

const ALGORITHM_ED25519 = 1;
const ED25519_BYTES = 32;
const KEY_HASH_BYTES = 4;
const LF = 0x0a;

const VERIFIER_KEY = /^([^+]+)\+([0-9a-fA-F]{8})\+(.*)$/;
const SIGNATURE_LINE = /^— ([^ ]+) ([^ ]+)$/;
