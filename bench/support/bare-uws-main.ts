/**
 * The floor: uWebSockets.js alone, each file a buffer in memory, handed to `tryEnd` as a whole, at once or
 * after a time.
 *
 * Astera's cost above this is its own. This one's cost above nginx is the kernel's copy, which
 * sendfile spares nginx.
 */

import { App, us_socket_local_port } from 'uWebSockets.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

process.on('disconnect', () => process.exit(0));
process.once('message', ({ root, latencyMs }: { root: string; latencyMs: number }) => {
  const bodies = new Map<string, Uint8Array>();
  const bodyOf = (url: string): Uint8Array => {
    const known = bodies.get(url);
    if (known !== undefined) return known;
    const body = readFileSync(join(root, decodeURIComponent(url)));
    bodies.set(url, body);
    return body;
  };
  App()
    .get('/*', (res, req) => {
      const body = bodyOf(req.getUrl());
      let isGone = false;
      res.onAborted(() => {
        isGone = true;
      });
      res.onWritable((offset) => res.tryEnd(body.subarray(offset), body.byteLength)[0]);
      const answer = () => res.tryEnd(body, body.byteLength);
      if (latencyMs === 0) answer();
      else setTimeout(() => isGone || res.cork(answer), latencyMs);
    })
    .listen('127.0.0.1', 0, (socket) => {
      if (socket !== false) process.send?.({ port: us_socket_local_port(socket as never) });
    });
});
