/** The line to a plugin server. It tells of the server's end, garbage or silence once, and then carries nothing. */

import type { Socket } from 'node:net';
import type { Address } from '../core/address.ts';
import { messageOf } from '../core/errors.ts';
import { net } from '../core/node-modules.ts';
import { AnswerReader, type ServerAnswer } from './answer-reader.ts';
import { PLUGIN_CONNECT_MS, PLUGIN_SILENCE_MS } from './limits.ts';
import { socketOptions } from './plugin-address.ts';

export type ServerLineDoors = {
  /** The server has greeted: what it is to be told before all else. */
  readonly onGreeting: (greeting: ServerAnswer) => string;
  /** @throws {Error} an answer that nobody has asked for */
  readonly onAnswer: (answer: ServerAnswer) => void;
  /** It carries nothing any more, and never will. */
  readonly onFailure: (why: string) => void;
  /** It takes more after {@link ServerLine.send} said that it is full. */
  readonly onDrain: () => void;
  /** Whether the server owes an answer. */
  readonly isOwed: () => boolean;
};

export class ServerLine {
  readonly #socket: Socket;
  readonly #doors: ServerLineDoors;
  #isOpen = true;
  #hasGreeted = false;
  /** What waits for the greeting. */
  readonly #early: Buffer[] = [];
  #signs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(address: Address, doors: ServerLineDoors) {
    this.#doors = doors;
    this.#socket = net().connect(socketOptions(address));
    this.#socket.setNoDelay(true);
    const reader = new AnswerReader((answer) => this.#take(answer));
    this.#socket.on('data', (bytes: Buffer) => {
      this.#alive();
      try {
        reader.push(bytes);
      } catch (error) {
        this.#fail(messageOf(error));
      }
      if (this.#hasGreeted && !doors.isOwed()) this.#rest();
    });
    this.#socket.on('drain', () => {
      this.#alive();
      doors.onDrain();
    });
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('close', () => this.#fail('it has hung up'));
    this.#watch(PLUGIN_CONNECT_MS);
  }

  /** False where no more should come yet: its `onDrain` says when. */
  send(bytes: Buffer): boolean {
    if (this.#timer === undefined) this.#watch(PLUGIN_SILENCE_MS);
    if (this.#hasGreeted) return this.#socket.write(bytes);
    this.#early.push(bytes);
    return false;
  }

  close(): void {
    this.#isOpen = false;
    this.#rest();
    this.#socket.destroy();
  }

  #take(answer: ServerAnswer): void {
    if (!this.#isOpen) return;
    if (this.#hasGreeted) this.#doors.onAnswer(answer);
    else if (answer.id === 0) this.#greet(answer);
    else throw new Error(`an answer before any greeting: ${answer.id}`);
  }

  #greet(greeting: ServerAnswer): void {
    this.#hasGreeted = true;
    this.#socket.write(this.#doors.onGreeting(greeting));
    for (const bytes of this.#early.splice(0)) this.#socket.write(bytes);
    this.#doors.onDrain();
  }

  #alive(): void {
    this.#signs++;
    this.#timer?.refresh();
  }

  /** Nothing is owed. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #watch(timeMs: number): void {
    this.#timer = setTimeout(() => this.#look(timeMs), timeMs);
  }

  /** Looks once more after the next poll: this process itself may have been stopped, and the answer be there. */
  #look(timeMs: number): void {
    const signs = this.#signs;
    setImmediate(() => {
      if (!this.#isOpen || this.#signs !== signs) return;
      if (this.#hasGreeted && !this.#doors.isOwed()) this.#rest();
      else this.#fail(`no sign of it in ${timeMs} ms`);
    });
  }

  #fail(why: string): void {
    if (!this.#isOpen) return;
    this.close();
    this.#doors.onFailure(why);
  }
}
