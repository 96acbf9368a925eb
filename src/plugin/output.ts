/** Answers on stdout. Writing never holds up the reading of stdin: a reader that waits for us would wait for ever. */

import { write } from 'node:fs';

export class Output {
  #text = '';
  #writing: Promise<void> | undefined;

  write(text: string): void {
    this.#text += text;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#text !== '') {
      const bytes = Buffer.from(this.#text);
      this.#text = '';
      for (let at = 0; at < bytes.length; ) at += await writeSome(bytes, at);
    }
    this.#writing = undefined;
  }
}

function writeSome(bytes: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(1, bytes, at, bytes.length - at, null, (error, count) => {
      if (error === null) resolve(count);
      // A pipe that its reader has made non-blocking is full.
      else if (error.code === 'EAGAIN') setTimeout(resolve, 1, 0);
      else reject(error);
    });
  });
}
