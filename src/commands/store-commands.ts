/** The commands that read or change a store: their names, flags and help, and how their code is loaded. */

import { BUCKET_FLAGS } from '../plugin/bucket-flags.ts';
import { pluginFlags } from '../plugin/flags.ts';
import { type ServeOption, serveOptions } from '../settings/serve-options.ts';
import type { Command } from './command.ts';
import { config, isOn, toggle } from './command-flags.ts';

const json: ServeOption = {
  name: 'json',
  help: 'for programs: sizes in bytes, times in Unix ms',
  ...toggle(),
};

const vulns: ServeOption = {
  name: 'vulns',
  help: 'the stored module versions that reports of vulnerabilities concern',
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

export const backup: Command = {
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

export const restore: Command = {
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

export const stats: Command = {
  name: 'stats',
  help: 'Show the contents of the store.',
  flags: [...common, json, serveOptions.gitDir, vulns, serveOptions.vulndb],
  examples: [
    ['$0 stats', 'the contents of astera.db'],
    ['$0 stats --vulns', 'the versions in it with known vulnerabilities'],
    ['$0 stats -db /var/lib/astera.db --json', 'of another store, as JSON'],
  ],
  run: async ({ flags }) => {
    const { loadStoreConfig } = await import('../settings/config.ts');
    const { dbPath, gitDir, vulndb } = loadStoreConfig({ flags });
    if (isOn(flags, vulns)) {
      const { statsVulns } = await import('./stats-vulns.ts');
      await statsVulns({ dbPath, vulndb, asJson: isOn(flags, json) });
      return;
    }
    const { stats } = await import('./stats.ts');
    await stats({ dbPath, gitDir, asJson: isOn(flags, json) });
  },
};

export const verify: Command = {
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

export const importDir: Command = {
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

export const exportDir: Command = {
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

export const warm: Command = {
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

const allStored: ServeOption = {
  name: 'all',
  help: 'all that is stored, not only what waits',
  ...toggle(),
};

const bucketFlags = [...pluginFlags.filter(({ name }) => BUCKET_FLAGS.has(name)), serveOptions.bucketPrivate];

export const push: Command = {
  name: 'push',
  help: 'Write to the bucket now what waits for it.',
  flags: [...common, ...bucketFlags, serveOptions.upstream, serveOptions.privatePatterns, allStored],
  examples: [
    ['$0 push', "through the running server, with the server's bucket"],
    ['$0 push --all --bucket corp-go', 'all that is stored, where no server runs'],
  ],
  run: async ({ flags }) => {
    const { loadConfig, loadStoreConfig } = await import('../settings/config.ts');
    const { pushCommand } = await import('./push.ts');
    const isAll = isOn(flags, allStored);
    const { all: _, ...settings } = flags; // It is no setting.
    await pushCommand(loadStoreConfig({ flags: settings }), { isAll }, () => loadConfig({ flags: settings }));
  },
};

const allInBucket: ServeOption = {
  name: 'all',
  help: 'all modules in the bucket',
  ...toggle(),
};

const setsInBucket: ServeOption = {
  name: 'build-cache',
  help: 'the build cache too: all sets that packs in the bucket have',
  ...toggle(),
};

export const pull: Command = {
  name: 'pull',
  help: 'Fetch from the bucket the modules that go.sum, go.mod, go.work or "go list -m -json all" files name.',
  words: '[file..]',
  flags: [
    ...common,
    ...bucketFlags,
    serveOptions.upstream,
    serveOptions.privatePatterns,
    serveOptions.verify,
    allInBucket,
    setsInBucket,
  ],
  examples: [
    ['$0 pull go.sum --bucket corp-go', 'a project, through the running server if there is one'],
    ['$0 pull --all --bucket corp-go', 'all modules in the bucket'],
    ['$0 pull --build-cache --bucket corp-go', 'what was built'],
  ],
  run: async ({ flags, words }) => {
    const { loadConfig, loadStoreConfig } = await import('../settings/config.ts');
    const { pullCommand } = await import('./pull.ts');
    const [isAll, hasSets] = [isOn(flags, allInBucket), isOn(flags, setsInBucket)];
    const asked = { files: words, isAll, hasSets };
    const { all: _, 'build-cache': __, ...settings } = flags;
    await pullCommand(loadStoreConfig({ flags: settings }), asked, () => loadConfig({ flags: settings }));
  },
};

export const forget: Command = {
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
