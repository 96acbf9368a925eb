/** A Git source over repositories on this machine, reached by the names that a `.gitconfig` gives them. */

import { join } from 'node:path';
import { SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../../src/core/limits.ts';
import type { ModuleRequest } from '../../src/core/ports.ts';
import { parseResource } from '../../src/core/resource.ts';
import { Discovery, type HttpGet } from '../../src/git/discovery.ts';
import { GitCommand } from '../../src/git/git-command.ts';
import { GitSource } from '../../src/git/git-source.ts';
import { parsePathMappings } from '../../src/git/path-mapping.ts';
import { Repositories } from '../../src/git/repositories.ts';
import { RepositoryFinder } from '../../src/git/repository-finder.ts';

export type GitRigOptions = {
  /** Has the `.gitconfig`. */
  readonly home: string;
  readonly mappings?: string;
  readonly get?: HttpGet;
  readonly environment?: Readonly<Record<string, string>>;
};

export function gitRig({ home, mappings = '', get, environment = {} }: GitRigOptions) {
  const warnings: string[] = [];
  const git = new GitCommand({ environment: { PATH: process.env.PATH, HOME: home, ...environment } });
  const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
  const directory = join(home, 'repositories');
  const repositories = new Repositories({ git, directory, clock, warn: (line) => warnings.push(line) });
  const discovery = new Discovery({
    get: get ?? (() => Promise.reject(new Error('no network'))),
    headersFor: async () => ({}),
    privatePatterns: '*',
    insecurePatterns: '',
  });
  const finder = new RepositoryFinder({
    mappings: parsePathMappings(mappings),
    discovery,
    insecurePatterns: '',
    clock,
    probe: async (url) => (await repositories.at(url)).refs(clock.monotonicMs()),
  });
  const source = new GitSource({ finder, repositories, clock });
  const text = async (path: string) => Buffer.from((await source.whole(request(path))).bytes).toString();
  const zip = async (path: string) => {
    const pieces: Uint8Array[] = [];
    for await (const event of source.stream({ ...request(path), bytesMax: ZIP_BYTES_MAX }))
      if (event.kind === 'bytes') pieces.push(event.bytes);
    return Buffer.concat(pieces);
  };
  return { source, text, zip, warnings, directory };
}

/** The request for a path below a GOPROXY's root. */
export function request(path: string): ModuleRequest {
  const resource = parseResource(path);
  if (resource === undefined) throw new Error(`not a GOPROXY's file: ${path}`);
  return { resource, path, bytesMax: SMALL_BYTES_MAX };
}
