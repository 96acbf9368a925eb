/** What a checksum database's answer is made of: a file in memory, and where it came from. */

import { type Answer, type Origin, StoredFile, type SumdbKind, type Visibility } from '../core/answer.ts';

/** The result of a flight: a file and its origin. */
export type Served = { readonly file: StoredFile; readonly origin: Origin };

/** A record and the tree head behind it. */
export function join(record: Uint8Array, note: Uint8Array): Uint8Array {
  const joined = new Uint8Array(record.byteLength + note.byteLength);
  joined.set(record);
  joined.set(note, record.byteLength);
  return joined;
}

export function fileOf(
  kind: SumdbKind,
  body: Uint8Array,
  freshUntilMs: number,
  visibility: Visibility = 'public',
): StoredFile {
  return new StoredFile({
    kind,
    status: 200,
    size: body.byteLength,
    body,
    blob: undefined,
    sha256: '',
    freshUntilMs,
    visibility,
  });
}

export function answerOf({ file, origin }: Served): Answer {
  const { kind, status, size, body } = file;
  return { kind, status, size, body, origin, sha256: undefined };
}
