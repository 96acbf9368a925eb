/**
 * The V8 inspectors of all threads of this process, called from the front thread.
 *
 * The workers run no code for it. Node's own domain `NodeWorker` carries the messages. It interrupts a thread that
 * waits in `Atomics.wait`, as Piscina's idle threads do.
 *
 * Follows https://chromedevtools.github.io/devtools-protocol/v8/ and src/inspector/node_protocol.pdl of Node.
 */

import { Session } from 'node:inspector';

/** The `worker_threads.threadId` of the front thread. */
export const FRONT = 0;

type Waiting = { resolve(result: object): void; reject(error: Error): void };

type Attached = { readonly sessionId: string; readonly waiting: Map<number, Waiting> };

export class ThreadSessions {
  readonly #session = new Session();
  readonly #workers = new Map<number, Attached>();
  #lastCall = 0;

  /** Starts. `onAttach` is called with the id of the front thread, of each running thread and of each later one. */
  watch(onAttach: (threadId: number) => void): void {
    const session = this.#session;
    session.connect();
    session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
      // The event's `workerId` counts the workers of this session only, so the id is read from the title.
      const threadId = Number(/^\[worker ([0-9]+)\]/.exec(workerInfo.title)?.[1]);
      this.#workers.set(threadId, { sessionId, waiting: new Map() });
      onAttach(threadId);
    });
    session.on('NodeWorker.detachedFromWorker', ({ params }) => this.#detach(params.sessionId));
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      this.#receive(params.sessionId, params.message);
    });
    onAttach(FRONT);
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  }

  get threadIds(): number[] {
    return [FRONT, ...this.#workers.keys()];
  }

  /** Calls a method of one thread's inspector. Rejects if it fails, or if the thread ends before the answer. */
  call(threadId: number, method: string, params: object = {}): Promise<object> {
    return new Promise((resolve, reject) => {
      if (threadId === FRONT) {
        this.#session.post(method, params, (error, result) => settle({ resolve, reject }, error, result));
        return;
      }
      const worker = this.#workers.get(threadId);
      if (worker === undefined) {
        reject(new Error(`cannot call ${method}: thread ${threadId} has ended`));
        return;
      }
      const id = ++this.#lastCall;
      worker.waiting.set(id, { resolve, reject });
      const message = JSON.stringify({ id, method, params });
      this.#session.post('NodeWorker.sendMessageToWorker', { sessionId: worker.sessionId, message });
    });
  }

  close(): void {
    this.#session.post('NodeWorker.disable');
    this.#session.disconnect();
  }

  #receive(sessionId: string, text: string): void {
    const message = JSON.parse(text) as { id?: number; result?: object; error?: { message: string } };
    if (message.id === undefined) return;
    const [, worker] = this.#find(sessionId) ?? [];
    const waiting = worker?.waiting.get(message.id);
    worker?.waiting.delete(message.id);
    if (waiting !== undefined) settle(waiting, message.error ?? null, message.result);
  }

  #detach(sessionId: string): void {
    const [threadId, worker] = this.#find(sessionId) ?? [];
    if (threadId === undefined || worker === undefined) return;
    this.#workers.delete(threadId);
    for (const { reject } of worker.waiting.values()) reject(new Error(`thread ${threadId} has ended`));
  }

  #find(sessionId: string): [number, Attached] | undefined {
    for (const pair of this.#workers) if (pair[1].sessionId === sessionId) return pair;
    return undefined;
  }
}

function settle({ resolve, reject }: Waiting, error: { message: string } | null, result?: object): void {
  if (error === null) resolve(result ?? {});
  else reject(new Error(error.message));
}
