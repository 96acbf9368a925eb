/** Astera's own version, as `package.json` has it. */

import { readFileSync } from 'node:fs';

export function asteraVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: string }).version);
}
