/** The `go` command's side of a cache program: starts one, asks it, and takes answers by their request. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export type CacheAnswer = {
  readonly ID: number;
  readonly Miss?: boolean;
  readonly Err?: string;
  readonly DiskPath?: string;
  readonly KnownCommands?: readonly string[];
};

export type CacheClientOptions = {
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** As toolchains before 1.24 name OutputID. */
  readonly outputField?: 'OutputID' | 'ObjectID';
};

export class CacheClient {
  readonly child: ChildProcess;
  /** Its exit code. */
  readonly exited: Promise<number | null>;
  readonly #outputField: string;
  readonly #waiting = new Map<number, (answer: CacheAnswer) => void>();
  #lastId = 0;
  #stderr = '';

  /** Resolves when it has said what it can do. */
  static async start(options: CacheClientOptions): Promise<CacheClient> {
    const client = new CacheClient(options);
    const hello = await client.#answerTo(0);
    assert.deepEqual(hello.KnownCommands, ['get', 'put', 'close']);
    return client;
  }

  private constructor({
    command: [program, ...args],
    env = {},
    outputField = 'OutputID',
  }: CacheClientOptions) {
    const { PATH, HOME, TMPDIR } = process.env;
    const child = spawn(program, args, { env: { PATH, HOME, TMPDIR, ...env }, stdio: 'pipe' });
    this.child = child;
    this.#outputField = outputField;
    child.stdin.on('error', () => {});
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer: CacheAnswer = JSON.parse(line);
      const take = this.#waiting.get(answer.ID);
      assert.ok(take, `an answer that nobody waits for: ${line}`);
      this.#waiting.delete(answer.ID);
      take(answer);
    });
    this.exited = once(child, 'close').then(([code]) => (typeof code === 'number' ? code : null));
  }

  /** All that it wrote to stderr so far, line by line. */
  get lines(): string[] {
    return this.#stderr.split('\n').filter((line) => line !== '');
  }

  get(action: string): Promise<CacheAnswer> {
    return this.send({ Command: 'get', ActionID: idOf(action) });
  }

  put(action: string, body: Buffer): Promise<CacheAnswer> {
    return this.send(this.putRequest(action, body), `"${body.toString('base64')}"\n`);
  }

  /** The fields of a put, without its body. */
  putRequest(action: string, body: Buffer): Readonly<Record<string, unknown>> {
    const output = createHash('sha256').update(body).digest('base64');
    const size = body.length > 0 && { BodySize: body.length };
    return { Command: 'put', ActionID: idOf(action), [this.#outputField]: output, ...size };
  }

  /** Sends a request and what follows it, as cmd/go/internal/cache/prog.go does. */
  send(request: Readonly<Record<string, unknown>>, body = ''): Promise<CacheAnswer> {
    const id = ++this.#lastId;
    const isEmpty = request.BodySize === undefined;
    this.write(`${JSON.stringify({ ID: id, ...request })}\n\n${isEmpty ? '' : body}`);
    return this.#answerTo(id);
  }

  write(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Ends it as `go` does: `close`, then the end of its input. */
  async close(): Promise<void> {
    await this.send({ Command: 'close' });
    this.child.stdin?.end();
    assert.equal(await this.exited, 0, this.#stderr);
  }

  /** Rejects where it ends first. */
  #answerTo(id: number): Promise<CacheAnswer> {
    const answer = new Promise<CacheAnswer>((resolve) => this.#waiting.set(id, resolve));
    const ended = this.exited.then((code) => {
      throw new Error(`it ended with ${code} and no answer to ${id}: ${this.#stderr}`);
    });
    return Promise.race([answer, ended]);
  }
}

function idOf(action: string): string {
  return createHash('sha256').update(action).digest('base64');
}
