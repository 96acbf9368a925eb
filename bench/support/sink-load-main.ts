/**
 * Large bodies thrown away as they come, on raw sockets into one buffer, in a process of its own.
 *
 * autocannon gathers what it reads: it takes 40 MB/s, and measures itself. Answers must have a
 * Content-Length.
 */

import { connect } from 'node:net';
import type { SteadyLoad, SteadyResult } from './steady-load.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (load: SteadyLoad) => process.send?.(await run(load)));

const latenciesMs: number[] = [];
let errors = 0;

async function run(load: SteadyLoad): Promise<SteadyResult> {
  const startedMs = performance.now();
  const untilMs = startedMs + load.seconds * 1000;
  await Promise.all(Array.from({ length: load.connections }, (_, at) => connection(load, at, untilMs)));
  const seconds = (performance.now() - startedMs) / 1000;
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(share * latenciesMs.length))] ?? 0;
  return { requests: latenciesMs.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), errors };
}

/** Asks one after the other until time is up; what is under way then ends, and counts. */
async function connection({ url, paths }: SteadyLoad, first: number, untilMs: number): Promise<void> {
  const { hostname, port, host } = new URL(url);
  let asked = first;
  let askedMs = 0;
  let bodyLeft = -1; // Below zero: the head is being read.
  let head = '';
  const ask = () => {
    const path = paths[asked++ % paths.length]?.replaceAll('!', '%21');
    askedMs = performance.now();
    bodyLeft = -1;
    head = '';
    socket.write(`GET /${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  };
  const onBytes = (length: number, buffer: Uint8Array): boolean => {
    let bodyBytes = length;
    if (bodyLeft < 0) {
      head += Buffer.from(buffer.buffer, buffer.byteOffset, Math.min(length, HEAD_BYTES)).toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return true;
      if (!head.startsWith('HTTP/1.1 200')) errors++;
      bodyLeft = Number(/^content-length: *(\d+)/im.exec(head)?.[1]);
      bodyBytes = length - (end + 4);
    }
    bodyLeft -= bodyBytes;
    if (bodyLeft > 0) return true;
    latenciesMs.push(performance.now() - askedMs);
    if (performance.now() < untilMs) ask();
    else socket.end();
    return true;
  };
  const socket = connect({
    host: hostname,
    port: Number(port),
    onread: { buffer: Buffer.alloc(BUFFER_BYTES), callback: onBytes },
  });
  const closed = Promise.withResolvers<void>();
  socket.on('error', () => errors++);
  socket.on('close', () => closed.resolve());
  ask();
  await closed.promise;
}

const BUFFER_BYTES = 256 * 1024;
const HEAD_BYTES = 4096;
