/**
 * The code that bin/astera runs: `src` and its packages in few files, and the native parts of one platform beside them.
 *
 *     dist/main.js                 the entry: it turns the compile cache on, and loads the next one
 *     dist/parts/command-line.js   the main thread: each command, and code that is run when it is used
 *     dist/parts/aws.js            what finds keys for a bucket
 *     dist/parts/*-worker.js       thread entries
 *     dist/parts/worker.js         Piscina's own
 *     dist/parts/*.node            native parts
 *
 * The code of `parts` finds `package.json` and its neighbours by the same relative paths as the sources' rooms.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { join } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { cpuOf, type NodeMajor, type Target } from './platform.ts';

/** Node's ABI for each major version. uWebSockets.js has a binary for each. */
const abis: Readonly<Record<NodeMajor, string>> = { '22': '127', '24': '137' };

/** The repack of uWebSockets.js for each: its entry and the directory of its binaries, below the package. */
const repacks: Readonly<Record<NodeMajor, { readonly entry: string; readonly binaries: string }>> = {
  '22': { entry: 'dist/index.mjs', binaries: './bin' },
  '24': { entry: 'uws.js', binaries: '.' },
};

export type CodeOptions = {
  /** The checkout, absolute. */
  readonly home: string;
  /** A directory whose `node_modules` has that target's packages, as `installPlatform` gives them. */
  readonly tree: string;
  readonly target: Target;
  /** What the server says of itself. */
  readonly version: string;
  /** Gets `dist`. */
  readonly out: string;
};

/**
 * Writes the code. The same sources and packages give the same bytes.
 *
 * @returns the packages that are in it, by their path below `node_modules`, sorted
 * @throws {Error} a file that cannot be bundled
 */
export async function buildCode(options: CodeOptions): Promise<string[]> {
  const { home } = options;
  const workers = readdirSync(join(home, 'src/workers')).filter((name) => name.endsWith('-worker.ts'));
  const results = await Promise.all([
    build({
      ...shared(options),
      entryPoints: [{ in: 'src/main.ts', out: 'main' }],
      plugins: [beside({ './command-line.ts': COMMAND_LINE }), ...shared(options).plugins],
    }),
    // One file. In parts that others share it was some 75, and each costs a start 0.5 ms of CPU.
    build({
      ...shared(options),
      entryPoints: [{ in: 'src/command-line.ts', out: 'parts/command-line' }],
      plugins: [beside({ [AWS]: AWS_BESIDE }), ...shared(options).plugins],
    }),
    // A quarter of all code, which only a server with a bucket and no keys of its own runs.
    build({
      ...shared(options),
      stdin: { contents: `export { defaultProvider } from '${AWS}';`, resolveDir: home },
      entryNames: 'parts/aws',
    }),
    build({
      ...shared(options),
      entryPoints: [
        ...workers.map((name) => ({
          in: `src/workers/${name}`,
          out: `parts/${name.slice(0, -'.ts'.length)}`,
        })),
        { in: 'node_modules/piscina/dist/worker.js', out: 'parts/worker' },
      ],
      // Piscina's marks are symbols of one copy of it: within a thread, its entry and our code must share that copy.
      splitting: true,
    }),
  ]);
  for (const { metafile } of results) checkOutputs(metafile);
  return [...new Set(results.flatMap(({ metafile }) => packagesOf(metafile)))].sort();
}

function shared({ home, tree, target, version, out }: CodeOptions) {
  return {
    absWorkingDir: home,
    preserveSymlinks: true, // Paths stand in the code: they say nothing of where this directory really lies.
    outdir: join(out, 'dist'),
    chunkNames: 'parts/[name]-[hash]',
    assetNames: 'parts/[name]',
    loader: { '.node': 'copy' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: `node${target.node}`,
    // Neither names nor lines are squeezed: profiles and stack traces show them.
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: BANNER },
    metafile: true,
    logLevel: 'warning',
    plugins: [builtins, nativeParts(tree, target), requires({ version, node: target.node })],
  } as const satisfies BuildOptions;
}

/** Where the entry finds what it loads when the compile cache is on. */
const COMMAND_LINE = './parts/command-line.js';

/** The package that finds keys for a bucket, and where the main thread's file finds that. */
const AWS = '@aws-sdk/credential-provider-node';
const AWS_BESIDE = './aws.js';

/** Imports that stay imports, of files that other builds make: their paths there by those in the sources. */
function beside(paths: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'beside',
    setup({ onResolve }) {
      onResolve({ filter: /./ }, ({ path, kind }) => {
        const file = kind === 'dynamic-import' ? paths[path] : undefined;
        return file === undefined ? undefined : { path: file, external: true };
      });
    },
  };
}

/** What CommonJS packages expect, in each file. */
const BANNER = `import { createRequire as createRequireHere } from 'node:module';
const require = createRequireHere(import.meta.url), hereDirname = import.meta.dirname;`;

/**
 * Node's own modules by `require`, when the first source that uses one is run. By `import`, all that are named anywhere would be
 * loaded first, and all of their getters read: one of `node:http` loads Node's own undici.
 */
const builtins: Plugin = {
  name: 'builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      isBuiltin(path) && kind === 'import-statement' ? { path, namespace: 'builtins' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'builtins' }, ({ path }) => {
      const names = Object.keys(createRequire(import.meta.url)(path)).filter((name) => /^\w+$/.test(name));
      const exported = names.map(
        (name) => `const ${name}_ = /* @__PURE__ */ get('${name}'); export { ${name}_ as ${name} };`,
      );
      const text = `const builtin = require('${path}'), get = (name) => builtin[name];\n${exported.join('\n')}\nexport default builtin;\n`;
      return { contents: text, loader: 'js' };
    });
  },
};

/** Packages that look for their native part at run time get the one of the bundle's target. */
function nativeParts(tree: string, { platform, node }: Target): Plugin {
  const cpu = cpuOf(platform);
  const packages = join(tree, 'node_modules');
  const { entry, binaries } = repacks[node];
  const binary = `${binaries}/uws_linux_${cpu}_${abis[node]}.node`;
  const parts: Readonly<Record<string, string>> = {
    'better-sqlite3': `better-sqlite3/lib/linux-${cpu}.js`,
    'msgpackr-extract': `@msgpackr-extract/msgpackr-extract-linux-${cpu}/node.napi.glibc.node`,
    'uWebSockets.js': `uWebSockets.js/${entry}`,
    '@napi-rs/nice': `@napi-rs/nice-linux-${cpu}-gnu/nice.linux-${cpu}-gnu.node`,
  };
  return {
    name: 'native-parts',
    setup({ onResolve, onLoad }) {
      onResolve(
        { filter: /^(?:better-sqlite3|msgpackr-extract|uWebSockets\.js|@napi-rs\/nice)$/ },
        ({ path }) => {
          return { path: join(packages, parts[path] ?? path) };
        },
      );
      onLoad({ filter: /[/\\]uWebSockets\.js[/\\](?:dist[/\\]uws\.mjs|uws\.js)$/ }, ({ path }) => {
        // The one call whose argument is put together at run time.
        const text = readFileSync(path, 'utf8').replace(
          /\brequire\((?:`[^`]*`|'[^)]*\+[^)]*)\)/,
          `require('${binary}')`,
        );
        return { contents: text.replace(/^const require = createRequire\(.*$/m, ''), loader: 'js' };
      });
    },
  };
}

/** Our own `createRequire`, Piscina's `__dirname` and yargs' place in a form that a file outside `node_modules` can have. */
function requires({ version, node }: { version: string; node: NodeMajor }): Plugin {
  return {
    name: 'requires',
    setup({ onLoad }) {
      onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
          .replace(/^const require = createRequire\(import\.meta\.url\);$/m, '')
          .replace(/^const NODE_MAJOR = '22';$/m, `const NODE_MAJOR = '${node}';`)
          .replace(/\bcreateRequire\(\s*import\.meta\.url,?\s*\)/g, 'require');
        return { contents: text, loader: 'ts' };
      });
      onLoad({ filter: /[/\\]src[/\\]settings[/\\]version\.ts$/ }, () => ({
        contents: `export function asteraVersion() { return ${JSON.stringify(version)}; }`,
        loader: 'ts',
      }));
      onLoad({ filter: /[/\\]piscina[/\\]dist[/\\]index\.js$/ }, ({ path }) => ({
        contents: readFileSync(path, 'utf8').replaceAll('__dirname', 'hereDirname'),
        loader: 'js',
      }));
      onLoad({ filter: /[/\\]yargs[/\\]lib[/\\]platform-shims[/\\]esm\.mjs$/ }, ({ path }) => ({
        // Outside node_modules it asks for the current directory, which may have been removed.
        contents: readFileSync(path, 'utf8').replace('mainFilename || process.cwd()', "mainFilename || '/'"),
        loader: 'js',
      }));
    },
  };
}

/** A package that is left outside would be missed on a machine without npm only, at some later time. */
function checkOutputs({ outputs }: Metafile): void {
  for (const [file, { imports }] of Object.entries(outputs)) {
    for (const { path, external } of imports) {
      if (external && !isBuiltin(path) && path !== COMMAND_LINE && path !== AWS_BESIDE)
        throw new Error(`cannot bundle ${file}: it needs ${path} beside it`);
    }
  }
}

/** A package may lie in another one's `node_modules`. */
const IN_PACKAGE = /(?:^|\/)node_modules\/((?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//;

function packagesOf({ inputs }: Metafile): string[] {
  const paths = Object.keys(inputs).map((path) => IN_PACKAGE.exec(path)?.[1]);
  return [...new Set(paths.filter((path) => path !== undefined))].sort();
}
