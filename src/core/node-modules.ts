/**
 * Modules of Node that not each run needs, loaded when they are first used: each `go` command pays for the start.
 *
 * An `import` would read all that a module exports, and load what is behind: of node:http a WebSocket client, 45 ms. Even
 * `createRequire` is in a module of its own. A Node before 20.16 has no `getBuiltinModule`: the one file that clients fetch brings
 * it along (`build:cacheprog` in package.json).
 */

const load = process.getBuiltinModule;

export function crypto(): typeof import('node:crypto') {
  return load('node:crypto');
}

export function http(): typeof import('node:http') {
  return load('node:http');
}

export function https(): typeof import('node:https') {
  return load('node:https');
}

export function net(): typeof import('node:net') {
  return load('node:net');
}

export function os(): typeof import('node:os') {
  return load('node:os');
}

export function stream(): typeof import('node:stream') {
  return load('node:stream');
}

/** A Node before 22.15 can't tell the system's CAs. */
export function tls(): Partial<typeof import('node:tls')> {
  return load('node:tls');
}

export function v8(): typeof import('node:v8') {
  return load('node:v8');
}

export function vm(): typeof import('node:vm') {
  return load('node:vm');
}

/** A Node before 22.15 has no zstd. */
export function zlib(): typeof import('node:zlib') & Partial<Pick<typeof import('node:zlib'), Zstd>> {
  return load('node:zlib');
}

type Zstd = 'zstdCompress' | 'zstdDecompressSync' | 'createZstdDecompress';
