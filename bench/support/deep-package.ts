/** A package deep in a project, for benches to change: what stands above it is compiled anew. */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GoClient } from '../../test/support/go.ts';
import type { Built } from './cache-ways.ts';

/** Much of the large project stands above its errors. */
const DEEP_MODULE = 'github.com/aws/smithy-go';
const DEEP_LINE = '"api error %s: %s"';

/** Makes the package one of the project's own, as all machines must have it before they build. */
export async function takeDeepPackage(go: GoClient, of: Built): Promise<void> {
  const directory = join(go.project, 'deep');
  if (of === 'large') {
    await succeed(go, 'mod', 'download', DEEP_MODULE);
    const from = await succeed(go, 'list', '-m', '-f', '{{.Dir}}', DEEP_MODULE);
    cpSync(from.trim(), directory, { recursive: true });
    await succeed(go, 'mod', 'edit', `-replace=${DEEP_MODULE}=./deep`);
    return;
  }
  mkdirSync(directory);
  writeFileSync(join(directory, 'errors.go'), `package deep\n\nconst Text = ${DEEP_LINE}\n`);
  const module = (await succeed(go, 'list', '-m')).trim();
  const main = join(go.project, 'main.go');
  writeFileSync(main, readFileSync(main, 'utf8').replace('import (', `import (\n\t_ "${module}/deep"`));
}

/** Changes one line of it. */
export function changeDeepPackage(go: GoClient, text: string): void {
  const file = join(go.project, 'deep/errors.go');
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(/"api error.*%s: %s"/, `"api error, ${text}, %s: %s"`),
  );
}

async function succeed(go: GoClient, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await go.run(...args);
  if (code !== 0) throw new Error(`go ${args.join(' ')}: ${stderr}`);
  return stdout;
}
