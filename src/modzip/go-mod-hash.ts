/**
 * The h1 hash of a go.mod file, as the "/go.mod" lines of go.sum hold it.
 *
 * Follows cmd/go/internal/modfetch (goModSum).
 */

import { hash } from 'node:crypto';
import { hash1 } from './hash1.ts';

/** `h1:` and 44 characters of base64, for the bytes of a `.mod` answer. */
export function hashGoMod(bytes: Uint8Array): string {
  return hash1([{ name: 'go.mod', sha256: hash('sha256', bytes, 'hex') }]);
}
