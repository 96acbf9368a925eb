/** The owner of what a suite's `before` makes: what a hook registers by `after` would end with the hook. */

import { after } from 'node:test';

/** Disposes of all after the suite's last test, the last first. Call it outside of hooks. */
export function suiteOwner(): { after(dispose: () => unknown): void } {
  const disposals: (() => unknown)[] = [];
  after(async () => {
    for (const dispose of disposals.reverse()) await dispose();
  });
  return { after: (dispose) => void disposals.push(dispose) };
}
