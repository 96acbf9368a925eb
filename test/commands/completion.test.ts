// Goal: what `astera completion` prints completes commands and flags under a person's fingers.
// Method: a real bash, and a real zsh where there is one, on a terminal of its own; Tab is pressed, and what the
// shell has made of the line is read off that terminal.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { mainEntry } from '../support/entry.ts';
import { tempDir } from '../support/temp-dir.ts';

const MAIN = mainEntry();

const shells = [
  { name: 'bash', command: 'bash --norc --noprofile -i' },
  { name: 'zsh', command: 'zsh -f -i' },
];

/** What is typed, and what the shell then shows. */
const lines: { typed: string; shown: string; why: string }[] = [
  { typed: 'astera sta\t', shown: 'astera stats ', why: 'a command' },
  { typed: 'astera stats --js\t', shown: 'astera stats --json ', why: 'a flag of a command' },
  { typed: 'astera --ppr\t', shown: 'astera --pprof ', why: 'a flag of serve without its name' },
  { typed: 'astera verify --rep\t', shown: 'astera verify --repair ', why: 'a switch' },
  { typed: 'astera import fil\t', shown: 'astera import file-of-mine', why: 'a file where a word belongs' },
];

for (const { name, command } of shells) {
  const why = spawnSync(name, ['--version']).error === undefined ? false : `no ${name} on this machine`;
  test(`${name} completes commands, flags and files`, { skip: why, timeout: 60_000 }, async (t) => {
    const terminal = new Terminal(t, command);
    await terminal.type(`source <(astera completion ${name}); echo "READY"\n`, '\nREADY');
    for (const { typed, shown, why } of lines) await terminal.type(typed, shown, why);
    // Twice, as the first only beeps where there are several.
    await terminal.type('astera export --\t\t', '--log-level', 'all flags there are');
    assert.doesNotMatch(terminal.since, /--addr|--json/, 'and no others');
  });
}

/** A shell on a pseudo-terminal. */
class Terminal {
  readonly #child: ChildProcess;
  /** What it has shown since the last line was begun. */
  since = '';
  #told: () => void = () => {};

  constructor(t: TestContext, shell: string) {
    const directory = tempDir(t);
    const astera = join(directory, 'astera');
    const node = `${JSON.stringify(process.execPath)} --disable-warning=ExperimentalWarning`;
    writeFileSync(astera, `#!/bin/sh\nexec ${node} ${JSON.stringify(MAIN)} "$@"\n`);
    chmodSync(astera, 0o755);
    writeFileSync(join(directory, 'file-of-mine'), '');
    const env = { PATH: `${directory}:${process.env.PATH}`, HOME: directory, TERM: 'dumb' };
    this.#child = spawn('script', ['-qec', shell, '/dev/null'], { cwd: directory, env, stdio: 'pipe' });
    t.after(() => this.#child.kill());
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.since += text.replaceAll('\r', '');
      this.#told();
    });
    this.#child.on('exit', () => this.#told());
  }

  /** Types `text` on a line cleared before, and waits until it shows `wanted`. */
  async type(text: string, wanted: string, why = text): Promise<void> {
    this.#child.stdin?.write('\x15');
    this.since = '';
    this.#child.stdin?.write(text);
    while (!this.since.includes(wanted)) {
      assert.equal(this.#child.exitCode, null, `${why}: the shell has ended: ${this.since}`);
      await new Promise<void>((resolve) => {
        this.#told = resolve;
      });
    }
  }
}
