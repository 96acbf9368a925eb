/** A small answer with its body in one piece, wherever it lies. */

import { type Answer, endedEarly } from '../core/answer.ts';

export type WholeAnswer = Answer & { readonly body: Uint8Array };

/** The same answer with all of its body, which has SMALL_BYTES_MAX at most. @throws {Error} the body ended before its end */
export async function wholeAnswer(answer: Answer): Promise<WholeAnswer> {
  const { body } = answer;
  if (body === undefined || body instanceof Uint8Array) return { ...answer, body: body ?? new Uint8Array(0) };
  const pieces: Buffer[] = [];
  try {
    for (let offset = 0; ; ) {
      const piece = await body.at(offset);
      if (piece.byteLength === 0 && offset !== body.size) throw endedEarly(body, offset);
      if (piece.byteLength === 0) return { ...answer, body: Buffer.concat(pieces) };
      pieces.push(Buffer.from(piece)); // A copy: the piece is lent for this turn.
      offset += piece.byteLength;
    }
  } finally {
    body.close?.();
  }
}

export function textOf({ body }: WholeAnswer): string {
  return decoder.decode(body);
}

const decoder = new TextDecoder();
