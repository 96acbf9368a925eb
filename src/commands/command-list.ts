/**
 * Every command: its name, its flags, its help, and how its code is loaded. `--help` and completion
 * load only this file.
 */

import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import { pluginFlags } from '../plugin/flags.ts';
import { pluginServerOptions, type ServeOption, serveOptions } from '../settings/serve-options.ts';
import { buildCacheCommands } from './build-cache-list.ts';
import type { Command } from './command.ts';
import { config, durationOf, isOn, toggle } from './command-flags.ts';
import {
  backup,
  exportDir,
  forget,
  importDir,
  pull,
  push,
  restore,
  stats,
  verify,
  warm,
} from './store-commands.ts';

/** Runs when no command is named. */
const serve: Command = {
  name: 'serve',
  help: 'Answer the go command.',
  flags: [config, ...Object.values(serveOptions), ...pluginServerOptions, ...pluginFlags],
  examples: [
    ['$0', 'listen on :8080, fetch from the proxies in GOPROXY'],
    ['$0 -addr :9000 -db /var/lib/astera.db', 'another port, another file'],
    ['$0 --upstream https://proxy.example', 'fetch from there'],
    ['$0 --private "*.corp.example"', 'never name these modules to an upstream'],
    ['$0 --offline', 'answer from the store only'],
    ['$0 serve --plugin 5930', "the build cache of this machine's go commands"],
    ['$0 serve --plugin 5930 --http localhost:5970', 'both'],
  ],
  run: async ({ flags }) => {
    const { loadConfig, loadPlugin } = await import('../settings/config.ts');
    const plugin = loadPlugin({ flags });
    if (plugin?.isAlone === true) {
      const { servePlugin } = await import('../serve/plugin.ts');
      await servePlugin(plugin);
      return;
    }
    const config = await loadConfig({ flags });
    const { serve } = await import('../serve/serve.ts');
    await serve(config, plugin);
  },
};

const wait: ServeOption = {
  name: 'wait',
  help: 'how long to wait for it',
  form: 'a duration such as 30s or 2m',
  fallback: '0s',
};

const ready: Command = {
  name: 'ready',
  help: 'Ask the running server whether it is ready.',
  flags: [serveOptions.addr, config, wait],
  examples: [
    ['$0 ready', 'exit code 0: it is; 1: it is not, and why'],
    ['$0 ready --addr :9000 --wait 1m', 'wait until it is'],
  ],
  run: async ({ flags }) => {
    const { loadAddress } = await import('../settings/config.ts');
    const { ready } = await import('./ready.ts');
    await ready({ addr: loadAddress({ flags }), waitMs: durationOf(flags, wait) });
  },
};

const scopes: ServeOption = {
  name: 'scopes',
  help: 'its rights, comma-separated: read (modules of --require-login), private (private modules too), cache-read, cache-write, admin (status page, metrics and profiles); private:corp.example/team/* is for these modules, cache-write:pr/* for namespaces that begin so',
  form: 'a list such as private:corp.example/team/*,cache-write:pr/*',
  fallback: 'private',
};

const token: ServeOption = {
  name: 'token',
  help: 'make a token and print it, instead of asking for a password',
  ...toggle(),
};

const expires: ServeOption = {
  name: 'expires',
  help: 'how long the token is good [default: for ever]',
  form: 'a duration such as 720h',
};

const claims: ServeOption = {
  name: 'claims',
  help: 'a rule for tokens of --oidc-issuer in place of a user: the claims that they must have; * stands for any text',
  form: 'a list such as repository=corp/app,ref=refs/heads/main',
};

const user: Command = {
  name: 'user',
  help: 'Add, remove or list users and tokens: add NAME, remove NAME, list.',
  words: '<action..>',
  flags: [serveOptions.authFile, config, scopes, token, expires, claims],
  examples: [
    ['$0 user add alice --auth-file users', 'a user, or a new password; it is read from stdin'],
    ['$0 user add ci --token --expires 720h --auth-file users', 'a token for .netrc or /token/<token>/'],
    ["$0 user add bob --scopes 'private:corp.example/team/*' --auth-file users", 'for one team'],
    ['$0 user add prometheus --token --scopes admin --auth-file users', 'a token for /metrics'],
    [
      '$0 user add ci --claims repository=corp/app,ref=refs/heads/main --scopes cache-write --auth-file users',
      'a rule for tokens of --oidc-issuer',
    ],
    ['$0 user list --auth-file users', 'their names and scopes'],
  ],
  run: async ({ flags, words }) => {
    const { loadAuthFile } = await import('../settings/config.ts');
    const { userCommand } = await import('./user.ts');
    await userCommand({
      authFile: loadAuthFile({ flags }),
      words,
      scopes: flags.scopes ?? scopes.fallback ?? '',
      isToken: isOn(flags, token),
      claims: flags.claims,
      expiresInMs: flags.expires === undefined ? undefined : durationOf(flags, expires),
    });
  },
};

const completion: Command = {
  name: 'completion',
  help: 'Print a script that completes commands and flags.',
  words: '[shell]',
  flags: [],
  examples: [
    ['source <($0 completion bash)', 'for this shell; add the line to ~/.bashrc to keep it'],
    ['source <($0 completion zsh)', 'the same for zsh, in ~/.zshrc'],
  ],
  run: async ({ words: [shell = 'bash', ...more] }) => {
    const isKnown = shell === 'bash' || shell === 'zsh';
    if (!isKnown || more.length > 0) {
      throw new UsageError(`no completion for ${quote([shell, ...more].join(' '))}: bash or zsh`);
    }
    const { completionScript } = await import('./completion.ts');
    process.stdout.write(completionScript(commands, shell));
  },
};

/** The first one runs when no command is named. */
export const commands: readonly Command[] = [
  serve,
  importDir,
  exportDir,
  warm,
  push,
  pull,
  forget,
  backup,
  restore,
  stats,
  verify,
  ready,
  user,
  ...buildCacheCommands,
  completion,
];
