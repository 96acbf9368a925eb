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
import { cpuOf, type Platform } from './platform.ts';

/** Node's ABI for its major version 22. uWebSockets.js has a binary for each. */
const NODE_ABI = '127';

export type CodeOptions = {
  /** The checkout, absolute. */
  readonly home: string;
  /** That platform's packages, as `installPlatform` gives them. */
  readonly tree: string;
  readonly platform: Platform;
  /** Gets `dist`. */
  readonly out: string;
};

/**
 * Writes the code of a bundle. The same sources and packages give the same bytes.
 *
 * @returns the packages that are in it, by their path below `node_modules`, sorted
 * @throws {Error} a file that cannot be bundled
 */
export async function buildCode({ home, tree, platform, out }: CodeOptions): Promise<string[]> {
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
    target: 'node22',
    // Neither names nor lines are squeezed: profiles and stack traces show them.
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: BANNER },
    metafile: true,
    logLevel: 'warning',
    plugins: [nativeParts(tree, cpuOf(platform)), requires(home)],
  });
  checkOutputs(metafile);
  return packagesOf(metafile);
}

/** What CommonJS packages expect, in each file. */
const BANNER = `import { createRequire as createRequireHere } from 'node:module';
const require = createRequireHere(import.meta.url), hereDirname = import.meta.dirname;`;

/** Packages that look for their native part at run time get the one of the bundle's platform. */
function nativeParts(tree: string, cpu: string): Plugin {
  const packages = join(tree, 'node_modules');
  const parts: Readonly<Record<string, string>> = {
    'better-sqlite3': `better-sqlite3/lib/linux-${cpu}.js`,
    'msgpackr-extract': `@msgpackr-extract/msgpackr-extract-linux-${cpu}/node.napi.glibc.node`,
    '@napi-rs/nice': `@napi-rs/nice-linux-${cpu}-gnu/nice.linux-${cpu}-gnu.node`,
  };
  return {
    name: 'native-parts',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^(?:better-sqlite3|msgpackr-extract|@napi-rs\/nice)$/ }, ({ path }) => {
        return { path: join(packages, parts[path] ?? path) };
      });
      onLoad({ filter: /[/\\]uWebSockets\.js[/\\]dist[/\\]uws\.mjs$/ }, () => ({
        contents: `export default require('./bin/uws_linux_${cpu}_${NODE_ABI}.node');`,
        loader: 'js',
      }));
    },
  };
}

/** Our own `createRequire` and Piscina's `__dirname` in a form that esbuild can follow. */
function requires(home: string): Plugin {
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string };
  return {
    name: 'requires',
    setup({ onLoad }) {
      onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
          .replace(/^const require = createRequire\(import\.meta\.url\);$/m, '')
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
