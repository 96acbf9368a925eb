/** Node's crypto, loaded when it is first used: each `go` command pays for the start of the program that it starts. */

import { createRequire } from 'node:module';

export function crypto(): typeof import('node:crypto') {
  return load('node:crypto');
}

const load = createRequire(import.meta.url);
