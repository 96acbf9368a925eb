/** Servers that share one bucket, and what is asked of them. */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera, type AsteraOptions, runAstera, total } from './astera.ts';
import { BUCKET_KEYS } from './bucket-server.ts';

/** A server behind which the bucket at `url` is. */
export function startNode(url: string, { flags = [], env = {}, ...options }: AsteraOptions): Promise<Astera> {
  return Astera.start({
    ...options,
    flags: [...flags, '--bucket=bucket', `--s3-endpoint-url=${url}`],
    env: { ...BUCKET_KEYS, ...env },
  });
}

/** Resolves when a node has nothing left to upload. @throws it has given something up */
export async function uploaded(node: Astera): Promise<void> {
  for (;;) {
    const metrics = await node.metrics();
    assert.equal(total(metrics, 'astera_bucket_lost'), 0, node.log);
    if (total(metrics, 'astera_bucket_queue_length') === 0) return;
    await delay(50);
  }
}

/** Has a node upload all that waits now, sets of the build cache too, which otherwise wait a while. */
export async function pushed(node: Astera): Promise<void> {
  const { code, stderr } = await runAstera(['push', '--db', node.db]);
  assert.equal(code, 0, `${stderr}\n${node.log}`);
}
