/**
 * The floor: uWebSockets.js alone, each file a buffer in memory, handed to `tryEnd` as a whole.
 *
 * What Astera costs above this is Astera's; what this costs above nginx is the kernel's copy, which
 * sendfile spares nginx.
 */

import { App, us_socket_local_port } from 'uWebSockets.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

process.on('disconnect', () => process.exit(0));
process.once('message', ({ root }: { root: string }) => {
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
      res.onAborted(() => {});
      res.onWritable((offset) => res.tryEnd(body.subarray(offset), body.byteLength)[0]);
      res.tryEnd(body, body.byteLength);
    })
    .listen('127.0.0.1', 0, (socket) => {
      if (socket !== false) process.send?.({ port: us_socket_local_port(socket as never) });
    });
});
