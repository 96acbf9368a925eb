/** The commands of the build cache on the machines that use it, for `command-list.ts`. */

import { connectFlags, pluginFlags } from '../plugin/flags.ts';
import type { Command } from './command.ts';

const cacheprog: Command = {
  name: 'cacheprog',
  help: 'Keep the build cache of the go command, which starts this program by GOCACHEPROG.',
  flags: pluginFlags,
  examples: [
    ['GOCACHEPROG="$0 cacheprog" go build ./...', 'a local directory'],
    ['GOCACHEPROG="$0 cacheprog --remote=http://pi:8080" go build ./...', 'shared through a server'],
  ],
  run: async (input) => {
    const { runCacheprog } = await import('./cacheprog.ts');
    await runCacheprog(input);
  },
};

const connect: Command = {
  name: 'connect',
  help: 'Connect the go command, which starts this by GOCACHEPROG, to a server with --plugin.',
  words: '<port>',
  flags: connectFlags,
  examples: [
    ['GOCACHEPROG="$0 connect 5930" go build ./...', 'to astera serve --plugin 5930'],
    ['GOCACHEPROG="$0 connect unix:/run/a.sock" go build ./...', 'through a Unix socket'],
  ],
  run: async (input) => {
    const { runConnect } = await import('./cacheprog.ts');
    await runConnect(input);
  },
};

const key: Command = {
  name: 'key',
  help: 'Make a key that signs entries of the build cache.',
  words: '<file>',
  flags: [],
  examples: [['$0 key ci.key', 'ci.key for --sign-key, ci.key.pub for --trust-key']],
  run: async ({ words: [path = ''] }) => {
    const { keyCommand } = await import('./key.ts');
    keyCommand(path);
  },
};

const mtimes: Command = {
  name: 'mtimes',
  help: "Set the times of a Git checkout's files from their contents, so that results of tests can be shared.",
  words: '[directory]',
  flags: [],
  examples: [['$0 mtimes ~/src/app', 'after each checkout, before go test']],
  run: async ({ words: [directory = '.'] }) => {
    const { mtimesCommand } = await import('./mtimes.ts');
    await mtimesCommand(directory);
  },
};

const doctor: Command = {
  name: 'doctor',
  help: 'Tell why this machine shares no results of the build cache, and the line that mends it.',
  flags: [],
  examples: [['$0 doctor', 'in the directory of a project']],
  run: async () => {
    const { environment } = await import('../settings/config.ts');
    const { doctorCommand } = await import('./doctor.ts');
    if (!(await doctorCommand(environment()))) process.exitCode = 1;
  },
};

export const buildCacheCommands: readonly Command[] = [cacheprog, connect, key, mtimes, doctor];
