/**
 * The local upstream as a process of its own, so that its CPU is not the bench's.
 *
 * Started by `startUpstreamProcess`: options in the first argument, counters over the IPC channel,
 * gone with its parent.
 */

import { LocalUpstream, type UpstreamOptions } from './local-upstream.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as UpstreamOptions;
const upstream = await LocalUpstream.start(options);

process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  if (message === 'counters') process.send?.(upstream.counters);
  if (message === 'reset') {
    upstream.resetCounters();
    process.send?.(upstream.counters);
  }
});
process.send?.({ url: upstream.url });
