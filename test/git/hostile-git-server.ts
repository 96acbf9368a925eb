/** A server that speaks Git's protocol version 2 over HTTP, says what it is told to say, and does what a server should not do. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { serveHttp } from './git-world.ts';

export type HostileBehaviour = {
  /** The answer to the first request of each command: default, that it is a Git server. */
  readonly hello?: (response: ServerResponse, request: IncomingMessage) => void;
  /** The lines of `ls-refs`. */
  readonly refs?: readonly string[];
  /** The answer to `fetch`. */
  readonly fetch?: (response: ServerResponse) => void;
};

/** Its address; each path is a repository. */
export async function serveHostile(t: TestContext, behaviour: HostileBehaviour): Promise<string> {
  const { hello = sayHello, refs = [], fetch = (response) => response.end() } = behaviour;
  return await serveHttp(t, async (request, response) => {
    if (request.method === 'GET') return hello(response, request);
    const raw = Buffer.concat((await request.toArray()) as Buffer[]);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
    response.setHeader('content-type', 'application/x-git-upload-pack-result');
    if (body.includes('command=ls-refs'))
      response.end([...refs.map((line) => pkt(`${line}\n`)), FLUSH].join(''));
    else fetch(response);
  });
}

function sayHello(response: ServerResponse): void {
  response.setHeader('content-type', 'application/x-git-upload-pack-advertisement');
  const lines = [
    'version 2\n',
    'agent=x\n',
    'ls-refs=unborn\n',
    'fetch=shallow filter\n',
    'object-format=sha1\n',
  ];
  response.end([pkt('# service=git-upload-pack\n'), FLUSH, ...lines.map(pkt), FLUSH].join(''));
}

/** Begins a pack of many objects in an answer to `fetch`; the pieces of the pack go through {@link band}. */
export function beginPack(response: ServerResponse, shallow: string): void {
  response.write(pkt('shallow-info\n') + pkt(`shallow ${shallow}\n`) + DELIMITER + pkt('packfile\n'));
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(100_000, 8);
  response.write(band(head));
}

/** A piece of a pack, of 65,000 bytes at most. */
export function band(piece: Buffer): Buffer {
  const length = (piece.length + 5).toString(16).padStart(4, '0');
  return Buffer.concat([Buffer.from(`${length}\x01`, 'latin1'), piece]);
}

/** A line as the protocol frames it. */
export function pkt(line: string): string {
  return (Buffer.byteLength(line) + 4).toString(16).padStart(4, '0') + line;
}

export const FLUSH = '0000';
const DELIMITER = '0001';
