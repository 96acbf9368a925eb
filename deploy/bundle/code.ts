/**
 * The code of a bundle: `src` and its packages in few files, and the native parts of one platform beside them.
 *
 *     dist/main.js            the entry that bin/astera starts
 *     dist/parts/*.js         thread entries, and code that is loaded when it is used
 *     dist/parts/*.node       native parts
 *
 * The code of `parts` finds `package.json` and its neighbours by the same relative paths as the sources' rooms.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
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
  /** That target's packages, as `installPlatform` gives them. */
  readonly tree: string;
  readonly target: Target;
  /** What the server says of itself. */
  readonly version: string;
  /** Gets `dist`. */
  readonly out: string;
};

/**
 * Writes the code of a bundle. The same sources and packages give the same bytes.
 *
 * @returns the packages that are in it, by their path below `node_modules`, sorted
 * @throws {Error} a file that cannot be bundled
 */
export async function buildCode({ home, tree, target, version, out }: CodeOptions): Promise<string[]> {
  const workers = readdirSync(join(home, 'src/workers')).filter((name) => name.endsWith('-worker.ts'));
  const { metafile } = await build({
    absWorkingDir: home,
    entryPoints: [
      { in: 'src/main.ts', out: 'main' },
      ...workers.map((name) => ({ in: `src/workers/${name}`, out: `parts/${name.slice(0, -'.ts'.length)}` })),
      { in: 'node_modules/piscina/dist/worker.js', out: 'parts/worker' },
    ],
    outdir: join(out, 'dist'),
    chunkNames: 'parts/[name]-[hash]',
    assetNames: 'parts/[name]',
    loader: { '.node': 'copy' },
    bundle: true,
    // Piscina's marks are symbols of one copy of it: the thread's entry and our code must share that copy.
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: `node${target.node}`,
    // Neither names nor lines are squeezed: profiles and stack traces show them.
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: BANNER },
    metafile: true,
    logLevel: 'warning',
    plugins: [nativeParts(tree, target), requires({ version, node: target.node })],
  });
  checkOutputs(metafile);
  return packagesOf(metafile);
}

/** What CommonJS packages expect, in each file. */
const BANNER = `import { createRequire as createRequireHere } from 'node:module';
const require = createRequireHere(import.meta.url), hereDirname = import.meta.dirname;`;

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

/** Our own `createRequire` and Piscina's `__dirname` in a form that esbuild can follow. */
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
    },
  };
}

/** A package that is left outside would be missed on a machine without npm only, at some later time. */
function checkOutputs({ outputs }: Metafile): void {
  for (const [file, { imports }] of Object.entries(outputs)) {
    for (const { path, external } of imports) {
      if (external && !isBuiltin(path)) throw new Error(`cannot bundle ${file}: it needs ${path} beside it`);
    }
  }
}

/** A package may lie in another one's `node_modules`. */
const IN_PACKAGE = /(?:^|\/)node_modules\/((?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//;

function packagesOf({ inputs }: Metafile): string[] {
  const paths = Object.keys(inputs).map((path) => IN_PACKAGE.exec(path)?.[1]);
  return [...new Set(paths.filter((path) => path !== undefined))].sort();
}
