// Goal: the plugin server's thread starts anew where it was when it dies, ends when it is told to, and says why it cannot start.
// Method: the real thread, and one that dies.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PluginThread } from '../../src/workers/plugin-thread.ts';
import { CacheClient } from '../support/cache-client.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';

const ANY = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

function settings(t: TestContext): Readonly<Record<string, string>> {
  return { 'cache-dir': join(tempDir(t), 'cache') };
}

test('a thread that dies is followed by another on the same port', async (t) => {
  const words: string[] = [];
  const deaths: string[] = [];
  const restarted = Promise.withResolvers<void>();
  const thread = await PluginThread.start({
    address: ANY,
    settings: settings(t),
    env: {},
    url: new URL('./dying-plugin.ts', import.meta.url),
    onWarning: (line) => {
      if (words.push(line) === 2) restarted.resolve();
    },
    onDeath: (why) => deaths.push(why),
  });
  assert.deepEqual(thread.address, { ...ANY, port: 5930 });
  await restarted.promise;
  assert.match(deaths.join(), /^Error: a bug/);
  assert.match(words[1] ?? '', /"port":5930/);
  await thread.stop(0);
  assert.equal(deaths.length, 1);
});

test('the real thread serves, and stops with the sessions that run', async (t) => {
  const options = { settings: settings(t), env: {}, onWarning: assert.fail, onDeath: assert.fail };
  const thread = await PluginThread.start({ address: ANY, ...options });
  const port = thread.address.kind === 'tcp' ? thread.address.port : 0;
  const program = join(CHECKOUT, 'src/plugin/cacheprog-main.ts');
  const client = await CacheClient.start({
    command: [process.execPath, '--disable-warning=ExperimentalWarning', program, 'connect', String(port)],
  });
  assert.ok(
    (await client.put('a', Buffer.from('body'))).DiskPath?.startsWith(options.settings['cache-dir'] ?? ''),
  );
  await assert.rejects(
    PluginThread.start({ address: thread.address, ...options }),
    new RegExp(`^Error: cannot serve --plugin on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
  );
  const stopped = thread.stop(600_000);
  await client.close();
  await stopped;
  assert.deepEqual(client.lines, []);
});
