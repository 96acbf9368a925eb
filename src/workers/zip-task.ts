/** The builder thread's side of a zip out of Git. Loaded with the first one: most servers make none. */

import { once } from 'node:events';
import { WakeUp } from '../core/wake-up.ts';
import { buildZip } from '../git/build-zip.ts';
import { PIECES_AHEAD, type ZipMail, type ZipTask, zipFailure } from './zip-mail.ts';

/**
 * Makes the zip, and sends it as fast as it is taken. When this ends, so has `git`.
 *
 * @param onTaken see {@link buildZip}
 */
export async function runZipTask({ order, port }: ZipTask, onTaken: (bytes: number) => void): Promise<void> {
  const left = new AbortController();
  const news = new WakeUp();
  let ahead = 0;
  port.on('message', () => {
    ahead--;
    news.call();
  });
  const closed = once(port, 'close').then(() => {
    left.abort(new Error('nobody waits'));
    news.call();
  });
  const send = (mail: ZipMail, moved: ArrayBuffer[] = []) => port.postMessage(mail, moved);
  const onStarted = (processGroup: number) => send({ kind: 'started', processGroup });
  try {
    for await (const piece of buildZip(order, { signal: left.signal, onStarted, onTaken })) {
      const bytes = new Uint8Array(piece.buffer as ArrayBuffer);
      send({ kind: 'bytes', bytes }, [bytes.buffer]);
      for (ahead++; ahead >= PIECES_AHEAD && !left.signal.aborted; ) await news.next();
      left.signal.throwIfAborted();
    }
    send({ kind: 'end', failure: undefined });
  } catch (error) {
    if (!left.signal.aborted) send({ kind: 'end', failure: zipFailure(error) });
  } finally {
    port.close();
    await closed;
  }
}
