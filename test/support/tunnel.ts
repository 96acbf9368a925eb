/** An HTTP proxy that knows CONNECT alone, for names that no machine has: only it knows where they are. */

import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** Every tunnel leads to that port here. `asked`: where they should have led, such as `git.corp.example:443`. */
export async function tunnelTo(
  owner: { after(dispose: () => void): void },
  port: number,
): Promise<{ proxyUrl: string; asked: string[] }> {
  const asked: string[] = [];
  const proxy = createServer((_, response) => response.writeHead(405).end());
  proxy.on('connect', ({ url }, client, head) => {
    asked.push(url ?? '');
    const server = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      server.write(head);
      server.pipe(client).pipe(server);
    });
    for (const socket of [client, server]) socket.on('error', () => {});
    owner.after(() => client.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  owner.after(() => proxy.close());
  return { proxyUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked };
}
