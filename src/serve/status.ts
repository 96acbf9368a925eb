/** The status of a server: who knows what, joined for the page and the text at `/`. */

import { formatAddress } from '../core/address.ts';
import type { Events } from '../observe/events.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Minutes } from '../observe/minutes.ts';
import type { Config } from '../settings/config.ts';
import { asteraVersion } from '../settings/version.ts';
import { ConcernedVersions } from '../status/concerned-versions.ts';
import { ModuleBrowser } from '../status/module-browser.ts';
import { StatusBoard, type StatusParts } from '../status/status-board.ts';
import { StoreCount } from '../status/store-count.ts';
import { ReaderPool } from '../workers/reader-pool.ts';
import type { BucketTier } from './bucket-tier.ts';
import { clock } from './clock.ts';
import type { Services } from './services.ts';

export type ServerStatus = {
  readonly board: StatusBoard;
  readonly browser: ModuleBrowser;
  readonly concerned: ConcernedVersions;
  /** Ids of its threads that run now. */
  threadIds(): readonly number[];
  /** To be called once a minute. */
  turnMinute(): Promise<void>;
  close(): Promise<void>;
};

type StatusNeeds = Pick<StatusParts, 'open'> & {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly events: Events;
  readonly services: Pick<Services, 'downloads' | 'upstreams' | 'git' | 'vulndb'>;
  readonly tier: Pick<BucketTier, 'bucket'> | undefined;
  /** Why nothing can be stored now. */
  readonly full: () => string | undefined;
};

/** Opens nothing before somebody looks. */
export function openStatus({
  config,
  metrics,
  events,
  services,
  open,
  full,
  tier,
}: StatusNeeds): ServerStatus {
  const pool = ReaderPool.forBrowsing({
    dbPath: config.dbPath,
    onReads: (calls) => events.storeRead(calls),
    onDeath: (why) => events.workerDied(why),
  });
  const minutes = new Minutes({ totals: () => metrics.totals(), wallMs: clock.wallMs });
  const count = new StoreCount({ reader: pool.call, clock, full });
  const board = new StatusBoard({
    facts: {
      version: asteraVersion(),
      node: process.versions.node,
      startedAtMs: clock.wallMs(),
      address: formatAddress(config.addr),
      isSecure: config.tlsCert !== undefined,
      isOffline: config.offline,
      verify: config.verify,
    },
    clock,
    counted: () => minutes.take(),
    open,
    downloads: () =>
      services.downloads.all.map(({ download: { receivedBytes, sizeBytes }, ...about }) => ({
        ...about,
        receivedBytes,
        sizeBytes,
      })),
    upstreams: () => services.upstreams.states,
    store: (writes) => count.figures(writes),
    git: services.git.copies,
    bucket: () => tier && { isDown: tier.bucket.isDown },
  });
  return {
    board,
    browser: new ModuleBrowser(pool.call),
    concerned: new ConcernedVersions({
      find: async () => (await services.vulndb?.concerned()) ?? { modified: undefined, rows: [] },
      clock,
    }),
    threadIds: () => pool.threadIds,
    turnMinute: () => minutes.turn(),
    close: () => pool.close(),
  };
}
