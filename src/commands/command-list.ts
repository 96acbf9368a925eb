/**
 * Every command: its name, its flags, its help, and how its code is loaded. `--help` and completion
 * load only this file.
 */

import { parseDuration } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import { connectFlags, pluginFlags } from '../plugin/options.ts';
import { pluginServerOptions, type ServeOption, serveOptions } from '../settings/serve-options.ts';
import type { Command, CommandInput } from './command.ts';

/** Not one of `serveOptions`: a settings file cannot name another one. */
const config: ServeOption = {
  name: 'config',
  help: 'a file of settings, as lines: name = value',
  form: 'a file',
};

const json: ServeOption = {
  name: 'json',
  help: 'for programs: sizes in bytes, times in Unix ms',
  ...toggle(),
};

const repair: ServeOption = {
  name: 'repair',
  help: 'drop bad files and fetch them again',
  ...toggle(),
};

const online: ServeOption = {
  name: 'online',
  help: 'ask the checksum database about every zip and go.mod',
  ...toggle(),
};

const buildCache: ServeOption = {
  name: 'build-cache',
  help: 'delete the build cache',
  ...toggle(),
};

/** Not the setting: which databases are proxied. */
const sumdbName: ServeOption = {
  name: 'sumdb',
  help: 'delete the files and verdicts of this checksum database',
  form: 'a name, such as sum.golang.org',
};

const yes: ServeOption = {
  name: 'yes',
  help: 'do not ask',
  ...toggle(),
};

/** Flags of every command that opens a store. */
const common: readonly ServeOption[] = [serveOptions.dbPath, config, serveOptions.logLevel];

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

const backup: Command = {
  name: 'backup',
  help: 'Write a copy of the store to a file, beside a running server too.',
  words: '<file>',
  flags: common,
  examples: [
    ['$0 backup /media/usb/astera.backup', 'an older backup of this name is replaced'],
    ['$0 verify -db /media/usb/astera.backup', 'a backup is a store: check it, or serve it'],
  ],
  run: async ({ flags, words: [file = ''] }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { backupCommand } = await import('./backup.ts');
    await backupCommand(loadStoreConfig({ flags }), file);
  },
};

const restore: Command = {
  name: 'restore',
  help: 'Replace the store by a backup. Stop the server first.',
  words: '<file>',
  flags: [...common, yes],
  examples: [['$0 restore /media/usb/astera.backup', 'asks first, or --yes']],
  run: async ({ flags, words: [file = ''] }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { restoreCommand } = await import('./backup.ts');
    await restoreCommand(loadStoreConfig({ flags }), { file, isSure: isOn(flags, yes) });
  },
};

const stats: Command = {
  name: 'stats',
  help: 'Show the contents of the store.',
  flags: [...common, json],
  examples: [
    ['$0 stats', 'the contents of astera.db'],
    ['$0 stats -db /var/lib/astera.db --json', 'of another store, as JSON'],
  ],
  run: async ({ flags }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { dbPath } = loadStoreConfig({ flags });
    const { stats } = await import('./stats.ts');
    stats({ dbPath, asJson: isOn(flags, json) });
  },
};

const verify: Command = {
  name: 'verify',
  help: 'Check every stored byte.',
  flags: [
    ...[...common, repair, online],
    ...[serveOptions.upstream, serveOptions.sumdb, serveOptions.privatePatterns, serveOptions.offline],
  ],
  examples: [
    ['$0 verify', 'print a line for each bad entry; exit 1 if there is one'],
    ['$0 verify --repair', 'fetch bad entries again, through the running server if there is one'],
    ['$0 verify --online', 'check every module against the checksum database too'],
  ],
  run: async ({ flags }) => {
    const { loadConfig, loadStoreConfig } = await import('../settings/config.ts');
    const { verifyCommand } = await import('./verify.ts');
    await verifyCommand(loadStoreConfig({ flags }), {
      mayRepair: isOn(flags, repair),
      isOnline: isOn(flags, online),
      loadConfig: () => loadConfig({ flags }),
    });
  },
};

const importDir: Command = {
  name: 'import',
  help: 'Store the files of a Go module cache, or of a directory that export wrote.',
  words: '<dir>',
  flags: [...common, serveOptions.sumdb],
  examples: [
    [
      '$0 import "$(go env GOMODCACHE)"',
      "all of this machine's module cache; a running server serves it at once",
    ],
    ['$0 import /media/usb/modules', 'a directory that "astera export" wrote elsewhere'],
  ],
  run: async ({ flags, words: [directory = ''] }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { importCommand } = await import('./import.ts');
    await importCommand(loadStoreConfig({ flags }), directory);
  },
};

const exportDir: Command = {
  name: 'export',
  help: 'Write the store as a directory for GOPROXY=file://…',
  words: '<dir>',
  flags: common,
  examples: [
    ['$0 export /media/usb/modules', 'a second run writes only new files'],
    ['GOPROXY=file:///media/usb/modules go build ./...', 'use the directory'],
  ],
  run: async ({ flags, words: [directory = ''] }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { exportCommand } = await import('./export.ts');
    await exportCommand(loadStoreConfig({ flags }), directory);
  },
};

const warm: Command = {
  name: 'warm',
  help: 'Fetch every module named in go.sum, go.mod, go.work or "go list -m -json all" files.',
  words: '<file..>',
  flags: [...common, serveOptions.upstream, serveOptions.privatePatterns, serveOptions.verify],
  examples: [
    ['$0 warm go.sum go.mod', 'a project, through the running server if there is one'],
    ['go list -m -json all | $0 warm -', 'the same, and the modules that only the list needs'],
    ['echo golang.org/x/net@v0.30.0 | $0 warm -', 'one module@version on each line'],
  ],
  run: async ({ flags, words }) => {
    const { loadConfig, loadStoreConfig } = await import('../settings/config.ts');
    const { warmCommand } = await import('./warm.ts');
    await warmCommand(loadStoreConfig({ flags }), words, () => loadConfig({ flags }));
  },
};

const forget: Command = {
  name: 'forget',
  help: 'Delete a module from the store, 404s too. The next request fetches it again.',
  words: '[module..]',
  flags: [...common, sumdbName, buildCache, yes],
  examples: [
    ['$0 forget github.com/me/x@v1.2.3', 'one version, for example after its tag was moved'],
    ['$0 forget github.com/me/x', 'all its versions and its list'],
    ['$0 forget --sumdb sum.example.com', 'a checksum database that was rebuilt: log lines say "fork"'],
    ['$0 forget --build-cache', 'all that builds have put into the build cache'],
  ],
  run: async ({ flags, words }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { forgetCommand } = await import('./forget.ts');
    const { [sumdbName.name]: sumdb, ...others } = flags; // It is no setting here.
    await forgetCommand(loadStoreConfig({ flags: others }), {
      names: words,
      isBuildCache: isOn(flags, buildCache),
      sumdb,
      isSure: isOn(flags, yes),
    });
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

const scopes: ServeOption = {
  name: 'scopes',
  help: 'its rights, comma-separated: read (modules of --require-login), private (private modules too), cache-read, cache-write, admin (metrics and profiles); private:corp.example/team/* is for these modules, cache-write:pr/* for namespaces that begin so',
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
      '$0 user add ci-main --claims repository=corp/app,ref=refs/heads/main --scopes cache-write --auth-file users',
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
  forget,
  backup,
  restore,
  stats,
  verify,
  ready,
  user,
  key,
  cacheprog,
  connect,
  completion,
];

/** A command's own duration, in ms. */
function durationOf(flags: CommandInput['flags'], { name, form, fallback = '' }: ServeOption): number {
  try {
    return parseDuration(flags[name] ?? fallback);
  } catch {
    throw new UsageError(`bad value for --${name}: ${quote(flags[name])}: expected ${form}`);
  }
}

/** Whether a command's own switch is given. Read like those of `config.ts`, which is not loaded here. */
function isOn(flags: CommandInput['flags'], { name, form }: ServeOption): boolean {
  const text = flags[name];
  if (text === undefined || text === 'false' || text === '0') return false;
  if (text === 'true' || text === '1') return true;
  throw new UsageError(`bad value for --${name}: ${quote(text.slice(0, 200))}: expected ${form}`);
}

/** A flag that is on when it is given. Only ever of one command, so neither variable nor file sets it. */
function toggle(): { readonly form: string; readonly isSwitch: true } {
  return { form: 'true or false', isSwitch: true };
}
