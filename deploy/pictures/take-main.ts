/**
 * Takes the pictures of the status page that the README shows: light and dark, wide and narrow.
 *
 * The page, the server, its store and a download that is under way are real. The modules are made up, and so are the
 * minutes before the picture, as nobody waits an hour for it.
 *
 *     node deploy/pictures/take-main.ts
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { Minute, Status } from '../../src/core/status.ts';
import { Astera } from '../../test/support/astera.ts';
import { Browser } from '../../test/support/browser.ts';
import { LocalUpstream } from '../../test/support/local-upstream.ts';
import { palettePng } from './palette-png.ts';

/** A README is read over slow lines too. */
const PICTURE_BYTES_MAX = 60_000;

const paths = [
  'github.com/BurntSushi/toml',
  'github.com/google/uuid',
  'github.com/prometheus/client_golang',
  'github.com/spf13/cobra',
  'go.uber.org/zap',
  'golang.org/x/net',
  'golang.org/x/text',
  'rsc.io/quote',
];

const modules = paths.flatMap((path, place) =>
  Array.from({ length: 1 + ((place * 7) % 4) }, (_, minor) => ({
    path,
    version: `v1.${minor}.${place}`,
    contentBytes: 90_000 * (1 + ((place * 5) % 9)),
  })),
);

const LARGE = { path: 'github.com/aws/aws-sdk-go', version: 'v1.55.5', contentBytes: 30_000_000 };

const looks = {
  'wide-light': { colorScheme: 'light', viewport: { width: 1000, height: 800 } },
  'wide-dark': { colorScheme: 'dark', viewport: { width: 1000, height: 800 } },
  'narrow-light': { colorScheme: 'light', viewport: { width: 360, height: 800 } },
  'narrow-dark': { colorScheme: 'dark', viewport: { width: 360, height: 800 } },
} as const;

const upstream = await LocalUpstream.start({ madeUp: [...modules, LARGE] });
const astera = await Astera.start({ upstream: upstream.url, flags: ['--sumdb', 'off', '--verify', 'off'] });
try {
  for (const { path, version } of modules) {
    const escaped = path.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
    for (const ending of ['info', 'mod', 'zip'])
      await (await astera.get(`${escaped}/@v/${version}.${ending}`)).arrayBuffer();
  }
  const release = upstream.hold(`${LARGE.path}/@v/${LARGE.version}.zip`, 17_000_000);
  const coming = astera.get(`${LARGE.path}/@v/${LARGE.version}.zip`).then((answer) => answer.arrayBuffer());
  for (const [name, look] of Object.entries(looks)) {
    const browser = await Browser.open(look);
    await take(browser.page, join(import.meta.dirname, `${name}.png`));
    await browser.close();
  }
  release();
  await coming;
} finally {
  await astera.dispose();
  await upstream.close();
}

async function take(page: Page, file: string): Promise<void> {
  await page.route('**/status/now.json', async (route) => {
    const status = (await (await route.fetch()).json()) as Status;
    await route.fulfill({ json: withHour(status) });
  });
  await page.goto(astera.url);
  await page.getByText(LARGE.path).waitFor();
  await page.getByText('on disk').waitFor();
  await page.getByRole('button', { name: 'golang.org/x/text' }).click();
  await page.locator('.versions').waitFor();
  await page.mouse.move(0, 0);
  const picture = palettePng(await page.screenshot({ fullPage: true }));
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  writeFileSync(file, picture);
  process.stdout.write(`${file}: ${picture.byteLength} bytes\n`);
  if (picture.byteLength > PICTURE_BYTES_MAX) throw new Error(`${file} has over ${PICTURE_BYTES_MAX} bytes`);
}

/** A morning's work before the picture. */
function withHour(status: Status): Status {
  const hour: Minute[] = Array.from({ length: 59 }, (_, minute) => {
    const load = Math.max(0, Math.sin(minute / 6) + Math.sin(minute / 2.3) / 2 + 0.6) * 90;
    const fetched = minute % 11 < 2 ? Math.round(load / 4) : Math.round(load / 40);
    return {
      fromMs: status.atMs - (59 - minute) * 60_000,
      memory: Math.round(load * 0.7),
      store: Math.round(load * 0.3),
      upstream: fetched,
      stale: minute % 23 === 5 ? 6 : 0,
      upstreamRequests: fetched,
      upstreamBytes: fetched * 180_000,
      buildHits: Math.round(load * 3),
      buildMisses: Math.round(load / 9),
      buildPuts: Math.round(load / 10),
    };
  });
  const startedAtMs = status.atMs - 3 * 86_400_000 - 4 * 3_600_000;
  const sums = {
    buildHits: 41_270,
    buildMisses: 1_904,
    upstreamRequests: 2_310,
    upstreamFailures: 3,
    upstreamBytes: 912_000_000,
  };
  return {
    ...status,
    server: { ...status.server, startedAtMs, address: ':8080' },
    hour: [...hour, ...status.hour.slice(-1)],
    total: { ...status.total, ...sums },
    upstreams: [{ name: 'proxy.example', isDown: false }],
    open: { requests: 3, connections: 14 },
    ...(status.store && {
      store: {
        ...status.store,
        buildCache: { actions: 4_310, outputs: 3_902, bytes: 1_480_000_000, storedBytes: 391_000_000 },
      },
    }),
  };
}
