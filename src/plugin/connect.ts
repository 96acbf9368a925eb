/**
 * `astera connect`: bridges the `go` command's stdin and stdout to a plugin server, and goes on alone where there is none.
 *
 * A build must neither fail nor stall for want of its cache. So requests are held until they are answered. When the server
 * is absent, silent, sends garbage or dies, a session of our own over a local directory takes them over, and all that follow.
 *
 * That session's code is only loaded where it is needed: `alone.ts`. Each `go` command pays for the start.
 */

import { accessSync, constants } from 'node:fs';
import type { Address } from '../core/address.ts';
import { formatAddress } from '../core/address.ts';
import type { Alone, AloneDoors } from './alone.ts';
import type { ServerAnswer } from './answer-reader.ts';
import { greeting } from './greeting.ts';
import { HeldRequests } from './held-requests.ts';
import { Output } from './output.ts';
import { RequestReader, type RequestSink } from './request-reader.ts';
import { ServerLine } from './server-line.ts';
import type { CommandName } from './session-name.ts';
import { encodeName, NAME_COMMAND } from './told-name.ts';

export type ConnectDoors = {
  /** Makes the session of our own. */
  readonly openAlone: (doors: AloneDoors) => Alone;
  /** The `go` command's name; asked for where the server wants to know. */
  readonly name: () => CommandName;
};

/**
 * Runs until `close` is answered or stdin ends, and ends the process.
 *
 * @throws {Error} stdin is not the `go` command's
 */
export async function runConnect(address: Address, doors: ConnectDoors): Promise<void> {
  const output = new Output();
  output.write(greeting()); // `go` waits for it, and every server can do the same.
  await new Connection(address, doors, output).run();
  process.exit(0);
}

class Connection {
  readonly #openAlone: ConnectDoors['openAlone'];
  readonly #output: Output;
  readonly #held = new HeldRequests();
  readonly #server: string;
  readonly #line: ServerLine;
  /** Takes the requests: holds them for the server, or answers them itself. */
  #sink: RequestSink = this.#held;
  #own: Alone | undefined;
  #finish: () => void = () => {};

  constructor(address: Address, { openAlone, name }: ConnectDoors, output: Output) {
    this.#openAlone = openAlone;
    this.#output = output;
    this.#server = formatAddress(address);
    this.#line = new ServerLine(address, {
      onGreeting: ({ commands }) => (commands.includes(NAME_COMMAND) ? encodeName(name()) : ''),
      onAnswer: (answer) => this.#answer(answer),
      onFailure: (why) => this.#goAlone(why),
      onDrain: () => process.stdin.resume(),
      isOwed: () => this.#held.size > 0,
    });
  }

  async run(): Promise<void> {
    const reader = new RequestReader({
      onRequest: (request) => this.#sink.onRequest(request),
      onBody: (bytes) => this.#sink.onBody(bytes),
      onBodyEnd: () => this.#sink.onBodyEnd(),
    });
    await new Promise<void>((resolve, reject) => {
      this.#finish = resolve;
      process.stdin.on('data', (bytes: Buffer) => {
        try {
          reader.push(bytes);
        } catch (error) {
          reject(error);
        }
        if (this.#sink === this.#held && !this.#line.send(bytes)) process.stdin.pause();
      });
      process.stdin.on('end', resolve);
      process.stdin.on('error', reject);
    });
    this.#line.close();
    await this.#own?.end();
    await this.#output.end();
    await this.#own?.trim();
  }

  #answer({ id, hasFailed, path, line }: ServerAnswer): void {
    const held = this.#held.get(id);
    if (held === undefined) throw new Error(`an answer that nobody asked for: ${id}`);
    const { command } = held.request;
    if (command === 'put' && !held.isWhole) throw new Error(`an answer before the body: ${id}`);
    // The server may be of another user, or see other files.
    const isUsable = !hasFailed && (path === undefined ? command === 'get' : isReadable(path));
    if (isUsable || command === 'close') this.#output.write(`${line}\n`);
    else if (command === 'get') this.#output.write(`${JSON.stringify({ ID: id, Miss: true })}\n`);
    else held.replay(this.#alone());
    this.#held.drop(id);
    if (command === 'close') this.#finish();
  }

  #goAlone(why: string): void {
    process.stderr.write(`astera connect: goes on without the server on ${this.#server}: ${why}\n`);
    const sink = this.#alone();
    this.#sink = sink;
    this.#held.handOver(sink);
    process.stdin.resume();
  }

  #alone(): RequestSink {
    this.#own ??= this.#openAlone({
      write: (text) => this.#output.write(text),
      onClose: () => this.#finish(),
      warn: (line) => process.stderr.write(`astera connect: ${line}\n`),
    });
    return this.#own.sink;
  }
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
