/**
 * Passwords and tokens as they are kept: hashes that give neither back.
 *
 * A token is 256 random bits, so one SHA-256 is enough. A password may be guessed, so its hash is made slow by scrypt,
 * which runs in Node's own threads.
 */

import { hash, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { BadRequest } from '../core/errors.ts';

/** A password's hash and all that made it. */
export type PasswordHash = {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallel: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
};

/** OWASP's parameters of the least memory that still has its full strength: 16 MiB, five times over. */
const NEW = { cost: 2 ** 14, blockSize: 8, parallel: 5 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** Of a text that any user can have typed, with room for a token. */
const PASSWORD_BYTES_MAX = 1024;

/** @throws {BadRequest} an empty password, or one over 1,024 bytes */
export async function hashPassword(password: string): Promise<PasswordHash> {
  if (password === '' || Buffer.byteLength(password) > PASSWORD_BYTES_MAX) {
    throw new BadRequest(`a password has 1 to ${PASSWORD_BYTES_MAX} bytes`);
  }
  const salt = randomBytes(SALT_BYTES);
  return { ...NEW, salt, hash: await derive(password, { ...NEW, salt }) };
}

/** Compares in constant time. */
export async function isPassword(password: string, kept: PasswordHash): Promise<boolean> {
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return false;
  return timingSafeEqual(await derive(password, kept), kept.hash);
}

/** Costs as much to compare with as any other, and nothing is its password. */
export const NO_PASSWORD: PasswordHash = {
  ...NEW,
  salt: randomBytes(SALT_BYTES),
  hash: randomBytes(HASH_BYTES),
};

/** A new token. Its form tells it from a password, and lets scanners for secrets find it. */
export function newToken(): string {
  return `${TOKEN_PREFIX}${randomBytes(32).toString('base64url')}`;
}

export function isToken(text: string): boolean {
  return text.startsWith(TOKEN_PREFIX) && text.length <= TOKEN_LENGTH_MAX;
}

/** SHA-256 in hex. */
export function hashToken(token: string): string {
  return hash('sha256', token);
}

const TOKEN_PREFIX = 'astera_';
const TOKEN_LENGTH_MAX = 128;

const FORM = /^scrypt:([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2}):([A-Za-z0-9_-]{22}):([A-Za-z0-9_-]{43})$/;

/** As `scrypt:COST:BLOCK:PARALLEL:SALT:HASH`, the last two in base64url. */
export function formatPasswordHash({ cost, blockSize, parallel, salt, hash }: PasswordHash): string {
  return ['scrypt', cost, blockSize, parallel, salt.toString('base64url'), hash.toString('base64url')].join(
    ':',
  );
}

/** @throws {BadRequest} another form, or parameters that take over 64 MiB or nothing at all */
export function parsePasswordHash(text: string): PasswordHash {
  const [, cost = '', blockSize = '', parallel = '', salt = '', hash = ''] = FORM.exec(text) ?? [];
  const kept = { cost: Number(cost), blockSize: Number(blockSize), parallel: Number(parallel) };
  const isPower = kept.cost > 1 && Number.isInteger(Math.log2(kept.cost));
  const isBounded = memoryOf(kept) <= MEMORY_BYTES_MAX && kept.blockSize > 0 && kept.parallel > 0;
  if (hash === '' || !isPower || !isBounded) throw new BadRequest('not the hash of a password');
  return { ...kept, salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') };
}

const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

function memoryOf({ cost, blockSize }: Pick<PasswordHash, 'cost' | 'blockSize'>): number {
  return 128 * cost * blockSize;
}

type Parameters = Omit<PasswordHash, 'hash'>;

function derive(password: string, { cost, blockSize, parallel, salt }: Parameters): Promise<Buffer> {
  const options: ScryptOptions = { cost, blockSize, parallelization: parallel, maxmem: 2 * MEMORY_BYTES_MAX };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, options, (error, hash) => (error ? reject(error) : resolve(hash)));
  });
}
