/** What a real build puts into its cache: its actions and the files of their outputs, out of Go's own cache. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../../test/support/corpus.ts';
import { type Built, cost, project } from './cache-ways.ts';

export type BuildOutput = {
  /** 64 hex digits. */
  readonly actionId: string;
  readonly outputId: string;
  readonly size: number;
  readonly path: string;
};

/** Go trims it by itself. */
const CACHE = join(CHECKOUT, '.cache/build-outputs');

/** Builds the project, if that has not been done before. Module indexes, which no machine shares, are left out. */
export async function buildOutputs(of: Built): Promise<BuildOutput[]> {
  const directory = join(CACHE, of);
  const go = await project(of, '', { GOCACHE: directory });
  try {
    await cost(go, 'build', '.');
  } finally {
    await go.dispose();
  }
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('-a'))
    .map((name) => readAction(directory, name))
    .filter(({ path }) => !readFileSync(path).subarray(0, INDEX.length).equals(INDEX));
}

const INDEX = Buffer.from('go index v');

/** As cmd/go/internal/cache/cache.go writes it: `v1 <action> <output> <size> <time>`. */
function readAction(directory: string, name: string): BuildOutput {
  const [, actionId = '', outputId = '', size] = readFileSync(join(directory, name), 'utf8')
    .trim()
    .split(/ +/);
  const path = join(directory, outputId.slice(0, 2), `${outputId}-d`);
  return { actionId, outputId, size: Number(size), path };
}
