/** A vulnerability database on loopback, in the form of vuln.go.dev, which tells the truth until a test makes it lie. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

export type MadeUpReport = {
  readonly id: string;
  readonly modified: string;
  readonly module: string;
  /** Without a "v"; undefined: there is no fix. */
  readonly fixed?: string;
  readonly withdrawn?: string;
};

/** A report in the form of the Open Source Vulnerability format. */
export function reportText({ id, modified, module, fixed, withdrawn }: MadeUpReport): string {
  const events = [{ introduced: '0' }, ...(fixed === undefined ? [] : [{ fixed }])];
  return JSON.stringify({
    schema_version: '1.3.1',
    ...{ id, modified, published: '2024-01-01T00:00:00Z' },
    ...(withdrawn !== undefined && { withdrawn }),
    summary: `Trouble in ${module}`,
    details: 'It has none.',
    database_specific: { url: `https://pkg.go.dev/vuln/${id}` },
    affected: [
      {
        package: { name: module, ecosystem: 'Go' },
        ranges: [{ type: 'SEMVER', events }],
        ecosystem_specific: { imports: [{ path: module }] },
      },
    ],
  });
}

/** All files of a database, without endings. */
export function databaseFiles(reports: readonly MadeUpReport[]): Map<string, string> {
  const modules = Map.groupBy(reports, ({ module }) => module);
  const modified =
    reports
      .map((one) => one.modified)
      .toSorted()
      .at(-1) ?? '2024-01-01T00:00:00Z';
  return new Map([
    ['index/db', JSON.stringify({ modified })],
    [
      'index/modules',
      JSON.stringify(
        Array.from(modules, ([path, own]) => ({
          path,
          vulns: own.map(({ id, modified, fixed }) => ({ id, modified, fixed })),
        })),
      ),
    ],
    ['index/vulns', JSON.stringify(reports.map(({ id, modified }) => ({ id, modified, aliases: [] })))],
    ...reports.map((one) => [`ID/${one.id}`, reportText(one)] as const),
  ]);
}

export class VulnServer {
  readonly url: string;
  /** Paths asked for, in order. */
  asked: string[] = [];
  files: Map<string, string>;
  /** False: every answer is 503. */
  isUp = true;
  readonly #server: Server;

  static async start(reports: readonly MadeUpReport[]): Promise<VulnServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new VulnServer(server, reports);
  }

  private constructor(server: Server, reports: readonly MadeUpReport[]) {
    this.#server = server;
    this.files = databaseFiles(reports);
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/db`;
    server.on('request', (request, response) => {
      const path = (request.url ?? '').slice(1);
      this.asked.push(path);
      const [, name, packed] = /^db\/(.*)\.json(\.gz)?$/.exec(path) ?? [];
      const text = this.files.get(name ?? '');
      if (!this.isUp) response.writeHead(503).end();
      else if (text === undefined) response.writeHead(404).end();
      else response.end(packed === undefined ? text : gzipSync(text));
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
