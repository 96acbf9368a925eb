/** A Git source over repositories on this machine, reached by the names that a `.gitconfig` gives them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../../src/core/limits.ts';
import type { ModuleRequest, PageGet, Upstream } from '../../src/core/ports.ts';
import { parseResource } from '../../src/core/resource.ts';
import { buildZip } from '../../src/git/build-zip.ts';
import { createGitSource } from '../../src/git/create-git-source.ts';
import { GIT_BOUNDS, type GitBounds } from '../../src/git/git-bounds.ts';

export type GitRigOptions = {
  /** Has the `.gitconfig`. */
  readonly home: string;
  readonly mappings?: string;
  readonly get?: PageGet;
  /** The module proxy at an origin. */
  readonly openProxy?: (origin: string) => Upstream;
  /** Default: refs are asked for each time. */
  readonly listTtlMs?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly bounds?: Partial<GitBounds>;
};

export function gitRig({
  home,
  mappings = '',
  get,
  openProxy,
  environment = {},
  listTtlMs = 0,
  bounds,
}: GitRigOptions) {
  const warnings: string[] = [];
  const directory = join(home, 'repositories');
  const { source, retry, copies, sweep } = createGitSource({
    mappings,
    directory,
    insecurePatterns: '',
    privatePatterns: '*',
    environment: { PATH: process.env.PATH, HOME: home, ...environment },
    clock: { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
    listTtlMs,
    warn: (line) => warnings.push(line),
    get: get ?? (() => Promise.reject(new Error('no network'))),
    bounds: { ...GIT_BOUNDS, ...bounds },
    buildZip: (order) => buildZip(order),
    openProxy: openProxy ?? (() => assert.fail('no proxy is expected')),
  });
  const text = async (path: string) => Buffer.from((await source.whole(request(path))).bytes).toString();
  const zip = async (path: string) => {
    const pieces: Uint8Array[] = [];
    for await (const event of source.stream({ ...request(path), bytesMax: ZIP_BYTES_MAX }))
      if (event.kind === 'bytes') pieces.push(event.bytes);
    return Buffer.concat(pieces);
  };
  return { source, retry, copies, sweep, text, zip, warnings, directory };
}

/** The request for a path below a GOPROXY's root. */
export function request(path: string): ModuleRequest {
  const resource = parseResource(path);
  if (resource === undefined) throw new Error(`not a GOPROXY's file: ${path}`);
  return { resource, path, bytesMax: SMALL_BYTES_MAX };
}
