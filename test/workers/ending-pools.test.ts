// Goal: a pool that is ended while its thread starts ends, and nothing else does: Node 22 aborted the process now and then.
// Method: a process that ends pools at moments spread over the load of an entry whose modules take long to link. An abort came in
// three of four such runs. So a second test asks a thread whether what aborts is off.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { ReaderPool } from '../../src/workers/reader-pool.ts';
import { tempDir } from '../support/temp-dir.ts';

const run = promisify(execFile);

test('pools that end while their thread loads end nothing else, and so does the process', async (t) => {
  const main = fileURLToPath(new URL('./ending-pools-main.ts', import.meta.url));
  const { stdout } = await run(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    main,
    slowToLink(t),
    '30',
  ]);
  assert.equal(stdout, 'ended 30\n');
});

test('a thread has no way to load an ES module by require', async (t) => {
  const entry = join(tempDir(t), 'entry.mjs');
  writeFileSync(
    entry,
    "export default () => { throw new Error('require: ' + process.features.require_module); };",
  );
  const pool = new ReaderPool({ dbPath: 'none', threads: 1, url: pathToFileURL(entry) });
  await assert.rejects(pool.call.getEntry({ key: 'k' }), /require: false/);
  await pool.close();
});

/** An entry over 20 modules, each of which imports 5,000 names of the next. */
function slowToLink(t: TestContext): string {
  const directory = tempDir(t);
  const names = Array.from({ length: 5_000 }, (_, i) => `a${i}`);
  const own = `export const ${names.map((name) => `${name} = 0`)};`;
  const others = names.map((name) => `${name} as ${name}_`);
  for (let i = 0; i < 20; i++) {
    const next = i < 19 ? `import { ${others} } from './${i + 1}.mjs';` : '';
    writeFileSync(join(directory, `${i}.mjs`), next + own);
  }
  const entry = join(directory, 'entry.mjs');
  writeFileSync(
    entry,
    "import { a0 } from './0.mjs'; export default () => { throw new Error('linked: ' + a0); };",
  );
  return entry;
}
