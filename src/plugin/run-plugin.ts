/** Joins the cache program's parts on this process' stdin, stdout and stderr, and ends the process. */

import { readFileSync, write } from 'node:fs';
import { LocalCache } from './local-cache.ts';
import { type PluginOptions, readOptions } from './options.ts';
import { RemoteCache } from './remote-cache.ts';
import { Session } from './session.ts';

export async function runPlugin(flags: Readonly<Record<string, string>>): Promise<void> {
  const options = readOptions(flags);
  const now = () => Date.now();
  const output = new Output();
  const local = new LocalCache({ directory: options.cacheDir, now, warn });
  const remote = openRemote(options, now);
  const session = new Session(options, { local, remote, warn, now, write: (text) => output.write(text) });
  await session.run(process.stdin);
  await output.flush();
  process.exit(0);
}

function openRemote({ remote: url, tokenFile, remoteTimeoutMs, shareCgo }: PluginOptions, now: () => number) {
  if (url === undefined) return undefined;
  const token = tokenFile === undefined ? undefined : readFileSync(tokenFile, 'utf8').trim();
  return new RemoteCache({ url, token, timeoutMs: remoteTimeoutMs, shareCgo, now, warn });
}

function warn(line: string): void {
  process.stderr.write(`astera cacheprog: ${line}\n`);
}

/** Writes to stdout without ever holding up the reading of stdin: a reader that waits for us would wait forever. */
class Output {
  #text = '';
  #writing: Promise<void> | undefined;

  write(text: string): void {
    this.#text += text;
    this.#writing ??= this.#writeAll();
  }

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
