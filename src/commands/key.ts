/**
 * `astera key FILE`: makes the keys that sign entries of the build cache. FILE has the private one, its owner's alone;
 * FILE.pub the public one. Both are what `openssl` writes for ed25519.
 */

import { generateKeyPairSync } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** @throws {Error} a file is there already, or can't be written */
export function keyCommand(path: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeNew(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  try {
    writeNew(`${path}.pub`, publicKey.export({ type: 'spki', format: 'pem' }), 0o644);
  } catch (error) {
    rmSync(path); // Half of a pair is of no use, and it would stand in the next one's way.
    throw error;
  }
  process.stdout.write(
    `${path}: for --sign-key on machines that write\n${path}.pub: for --trust-key on machines that read\n`,
  );
}

/** Never over another one: what that signed would be worthless. */
function writeNew(path: string, pem: string | Buffer, mode: number): void {
  try {
    writeFileSync(path, pem, { mode, flag: 'wx' });
  } catch (cause) {
    throw new Error(`cannot write the key ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
}
