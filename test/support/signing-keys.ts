/** Keys of the build cache for tests: real ones, in files. */

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Signatures } from '../../src/plugin/signatures.ts';

/** Where no key is set. */
export const NO_KEYS = new Signatures({
  namespace: 'main',
  signKey: undefined,
  trustKeys: [],
  warn: () => {},
});

/** Writes `<name>.key` and `<name>.key.pub`. @returns the first one's path */
export function writeKey(directory: string, name: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const path = join(directory, `${name}.key`);
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(`${path}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  return path;
}

/** What a machine has that signs with one key and trusts others. */
export function keysOf(signKey: string | undefined, ...trustKeys: readonly string[]): Signatures {
  return new Signatures({ namespace: 'main', signKey, trustKeys, warn: () => {} });
}
