/** The front's side of a zip out of Git that a builder thread makes. It sees pieces of the zip, and nothing of the files. */

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { messageOf, StoreFailed } from '../core/errors.ts';
import { WakeUp } from '../core/wake-up.ts';
import type { ZipOrder } from '../git/build-zip.ts';
import { endProcessGroup } from '../git/git-command.ts';
import type { Piscina } from './piscina.ts';
import { errorOf, type ZipMail, type ZipTask } from './zip-mail.ts';

/**
 * The zip, piece by piece; each has its buffer for itself. Leaving it early ends the work. After the end no `git` of it runs.
 *
 * @throws what `buildZip` throws
 * @throws {StoreFailed} the thread died
 */
export async function* zipFrom(pool: Piscina, order: ZipOrder): AsyncGenerator<Buffer, void, void> {
  const { port1: port, port2 } = new MessageChannel();
  const mail: ZipMail[] = [];
  const news = new WakeUp();
  port.on('message', (one: ZipMail) => {
    mail.push(one);
    news.call();
  });
  let died: Error | undefined;
  const task: ZipTask = { order, port: port2 };
  const done = pool.run(task, { name: 'serveZip', transferList: [port2] }).catch((error: unknown) => {
    died = new StoreFailed(`cannot build: ${messageOf(error)}`);
    // Posted before it died, and not yet told.
    for (let one = receiveMessageOnPort(port); one !== undefined; one = receiveMessageOnPort(port))
      mail.push(one.message as ZipMail);
    news.call();
  });
  let processGroup: number | undefined;
  try {
    for (;;) {
      const one = mail.shift();
      if (one?.kind === 'started') processGroup = one.processGroup;
      else if (one?.kind === 'bytes') {
        yield Buffer.from(one.bytes.buffer);
        port.postMessage('taken');
      } else if (one?.kind === 'end') {
        if (one.failure !== undefined) throw errorOf(one.failure);
        return;
      } else if (died !== undefined) throw died;
      else await news.next();
    }
  } finally {
    port.close();
    await done;
    for (const one of mail) if (one.kind === 'started') processGroup = one.processGroup;
    if (died !== undefined && processGroup !== undefined) endProcessGroup(processGroup);
  }
}
