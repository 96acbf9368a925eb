/** Pieces from one who has them to one who asks for them, one at a time. */

export class Handover implements AsyncIterable<Uint8Array> {
  #offer = Promise.withResolvers<Uint8Array | undefined>();
  #taken = Promise.withResolvers<void>();
  #isOver = false;

  /** Resolves when the piece is done with, or nobody asks any more. */
  async put(piece: Uint8Array): Promise<void> {
    if (this.#isOver) return;
    this.#offer.resolve(piece);
    await this.#taken.promise;
  }

  end(): void {
    this.#offer.resolve(undefined);
  }

  fail(error: Error): void {
    if (this.#isOver) return;
    this.#offer.promise.catch(() => {}); // Whoever asks is told, if somebody does.
    this.#offer.reject(error);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (;;) {
        const piece = await this.#offer.promise;
        if (piece === undefined) return;
        yield piece;
        this.#offer = Promise.withResolvers();
        const taken = this.#taken;
        this.#taken = Promise.withResolvers();
        taken.resolve();
      }
    } finally {
      this.#isOver = true;
      this.#taken.resolve();
    }
  }
}
