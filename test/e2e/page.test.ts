// Goal: the status page works in a real browser: it opens, shows live figures while real `go` commands run, searches by
// keyboard, asks nobody but its server, and is accessible in light and dark, on a phone and on a wide screen.
// Method: headless Chromium in front of a real server, whose upstream holds a download back until the page has shown it.
// axe-core judges each look. Nothing but the page's own words and figures is waited for.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { Astera, runAstera } from '../support/astera.ts';
import { Browser, type Look } from '../support/browser.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';
import { VulnServer } from '../support/vuln-server.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** All that a first visit loads. */
const PAGE_BYTES_MAX = 100_000;

const LARGE = { path: 'example.com/large', version: 'v1.0.0', contentBytes: 3_000_000 };
const SMALL = [1, 2, 3].map((minor) => ({
  path: 'example.com/Tools/x',
  version: `v1.${minor}.0`,
  contentBytes: 1_000,
}));
/** More than one page of the list. */
const MANY = Array.from({ length: 60 }, (_, i) => ({
  path: `example.com/many/m${i}`,
  version: 'v0.1.0',
  contentBytes: 10,
}));

const looks: Readonly<Record<string, Look>> = {
  'light, wide': { colorScheme: 'light', viewport: { width: 1400, height: 900 } },
  'dark, wide': { colorScheme: 'dark', viewport: { width: 1400, height: 900 } },
  'light, narrow': { colorScheme: 'light', viewport: { width: 360, height: 740 } },
  'dark, narrow': { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
};

let upstream: LocalUpstream;
let vulndb: VulnServer;
let astera: Astera;
let go: GoClient;

before(async () => {
  upstream = await LocalUpstream.start({ madeUp: [LARGE, ...SMALL, ...MANY] });
  vulndb = await VulnServer.start([
    { id: 'GO-2024-0001', modified: '2024-05-01T00:00:00Z', module: 'example.com/Tools/x', fixed: '1.2.0' },
  ]);
  astera = await Astera.start({
    upstream: upstream.url,
    flags: ['--sumdb', 'off', '--verify', 'off', '--vulndb', vulndb.url],
  });
  go = await GoClient.create(astera.url);
});

after(async () => {
  await go.dispose();
  await astera.dispose();
  await upstream.close();
  await vulndb.stop();
});

/** Runs with a browser of its own, which must have seen nothing wrong and nobody but the server. */
async function look(how: Look, server: Astera, work: (page: Page) => Promise<void>): Promise<void> {
  const browser = await Browser.open(how);
  try {
    await work(browser.page);
    assert.deepEqual(browser.faults, []);
    assert.deepEqual([...browser.origins], [server.url]);
  } finally {
    await browser.close();
  }
}

async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = (await page.evaluate('axe.run()')) as AxeResults;
  return violations
    .filter(({ impact }) => impact !== 'minor')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' ')}`);
}

suite('in a browser', () => {
  test('an empty server says what it lacks', async () => {
    await look({}, astera, async (page) => {
      await page.goto(astera.url);
      for (const text of [
        'Running',
        'No module was given out in this hour.',
        'Nothing is being downloaded.',
        'Nothing is stored yet. The first request fills it.',
        'No machine shares its build results yet.',
        'No module is stored yet.',
        'No vulnerability database is stored.',
        `go env -w GOPROXY=${astera.url},direct`,
      ]) {
        await page.getByText(text).first().waitFor();
      }
      assert.deepEqual(await faultsOf(page), []);
    });
  });

  test('figures are live while go downloads, and all of it is small', async () => {
    await look({}, astera, async (page) => {
      const bodies: Promise<Buffer>[] = [];
      page.on('response', (response) => {
        // Of those that come while the browser closes nobody wants the body.
        bodies.push(response.body().catch(() => Buffer.alloc(0)));
      });
      await page.goto(astera.url);
      await page.getByText('No module is stored yet.').waitFor();
      const bytes = Buffer.concat(await Promise.all(bodies)).byteLength;
      assert.ok(bytes > 10_000 && bytes < PAGE_BYTES_MAX, `${bytes} bytes`);
      const release = upstream.hold(`${LARGE.path}/@v/${LARGE.version}.zip`, 2_000_000);
      const downloaded = go.run(
        'mod',
        'download',
        ...[LARGE, ...SMALL].map(({ path, version }) => `${path}@${version}`),
      );
      const coming = page.getByRole('listitem').filter({ hasText: LARGE.path });
      await coming.getByText(/1\.\d\sMiB of 2\.9\sMiB/).waitFor();
      const progress = coming.getByRole('progressbar', { name: `${LARGE.path}@${LARGE.version}` });
      assert.equal(await progress.getAttribute('max'), String(await sizeOf(LARGE)));
      release();
      assert.equal((await downloaded).code, 0);
      await page.getByText('Nothing is being downloaded.').waitFor();
      const answers = page.locator('.keys div').filter({ hasText: 'Answers' }).locator('strong');
      const before = Number(await answers.textContent());
      assert.ok(before >= 12, `${before} answers for four modules`);
      await (await astera.get(`${LARGE.path}/@v/${LARGE.version}.info`)).text();
      await answers.filter({ hasText: new RegExp(`^${before + 1}$`) }).waitFor();
    });
  });

  test('stored versions with known vulnerabilities are named', async () => {
    await fill();
    assert.equal((await astera.get('vulndb/index/modules.json.gz')).status, 200);
    await look({}, astera, async (page) => {
      await page.goto(astera.url);
      const row = page.getByRole('row').filter({ hasText: 'example.com/Tools/x@v1.1.0' });
      await row.getByText('GO-2024-0001').waitFor();
      assert.match((await row.textContent()) ?? '', /v1\.2\.0$/);
      assert.equal(await page.locator('.reports tbody tr').count(), 1);
      assert.deepEqual(await faultsOf(page), []);
    });
  });

  test('the search works by keyboard, and shows versions', async () => {
    await fill();
    await look({}, astera, async (page) => {
      await page.goto(astera.url);
      await page.getByText('50 modules, and more').waitFor();
      const rows = page.locator('.modules > li');
      await page.getByRole('button', { name: 'Show more' }).press('Enter');
      await page.getByText(/^62\smodules$/).waitFor();
      await page.keyboard.press('/');
      await page.keyboard.type('tools/X');
      await page.getByText(/^1\smodule$/).waitFor();
      assert.match((await rows.first().textContent()) ?? '', /^example\.com\/Tools\/x3\sversions/);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      const row = page.getByRole('button', { name: 'example.com/Tools/x' });
      await page.locator('.versions tbody th').first().waitFor();
      assert.equal(await row.getAttribute('aria-expanded'), 'true');
      const versions = page.locator('.versions tbody th');
      assert.deepEqual(await versions.allTextContents(), ['v1.3.0', 'v1.2.0', 'v1.1.0']);
      await page.keyboard.press('/');
      await page.keyboard.press('ControlOrMeta+A');
      await page.keyboard.type('x@v1.2');
      await page.locator('.versions').filter({ hasNotText: 'v1.3.0' }).waitFor();
      assert.deepEqual(await versions.allTextContents(), ['v1.2.0']);
      await page.keyboard.press('ControlOrMeta+A');
      await page.keyboard.type('<img src=x onerror=alert(1)>');
      await page.getByText('No stored module fits.').waitFor();
    });
  });

  for (const [name, how] of Object.entries(looks)) {
    test(`axe-core finds nothing: ${name}`, async () => {
      await fill();
      await look(how, astera, async (page) => {
        await page.goto(astera.url);
        await page.getByRole('button', { name: /Tools/ }).click();
        await page.locator('.versions').waitFor();
        assert.deepEqual(await faultsOf(page), []);
        const { width } = how.viewport ?? { width: 0 };
        assert.equal(
          await page.evaluate('document.documentElement.scrollWidth'),
          width,
          'nothing sticks out',
        );
        const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
        assert.equal(ground, how.colorScheme === 'dark' ? 'rgb(19, 21, 22)' : 'rgb(250, 250, 248)');
      });
    });
  }

  test('with users a browser asks for a login, and names what it may read', async (t) => {
    const users = join(tempDir(t), 'users');
    const add = async (name: string, scopes: string) => {
      const words = ['user', 'add', name, '--token', '--scopes', scopes, '--auth-file', users];
      return (await runAstera(words)).stdout.trim();
    };
    const [admin, all] = [await add('admin', 'admin'), await add('all', 'admin,private')];
    const flags = ['--auth-file', users, '--private-allow', 'none', '--private', 'example.com/Tools'];
    const closed = await Astera.start({
      upstream: upstream.url,
      flags: [...flags, '--max-size', '100MB', '--sumdb', 'off', '--verify', 'off'],
      env: { GONOPROXY: 'none' },
    });
    t.after(() => closed.dispose());
    const asAll = { authorization: `Bearer ${all}` };
    for (const path of ['example.com/!tools/x/@v/v1.1.0.mod', 'example.com/many/m1/@v/v0.1.0.mod'])
      assert.equal((await closed.get(path, { headers: asAll })).status, 200, path);
    const nobody = await Browser.open();
    // It would ask whoever sits in front of it.
    await assert.rejects(nobody.page.goto(closed.url), /ERR_INVALID_AUTH_CREDENTIALS/);
    await nobody.close();
    for (const [token, text] of [
      [admin, /^example\.com\/many\/m1/],
      [all, /^example\.com\/Tools\/x.*example\.com\/many\/m1/],
    ] as const) {
      await look({ httpCredentials: { username: 'me', password: token } }, closed, async (page) => {
        await page.goto(closed.url);
        await page.getByText(/of 95\.4\sMiB at most/).waitFor();
        await page.locator('.modules > li').first().waitFor();
        assert.match((await page.locator('.modules').textContent()) ?? '', text);
        assert.deepEqual(await faultsOf(page), []);
      });
    }
  });

  test('a hidden tab asks nothing, and a server that is gone is said until it is back', async () => {
    const other = await startElsewhere();
    const addr = new URL(other.url).host;
    const browser = await Browser.open();
    try {
      const { page } = browser;
      await page.clock.install();
      await page.goto(other.url);
      await page.getByText('Running').waitFor();
      await page.evaluate(
        `Object.defineProperty(document, 'hidden', { get: () => window.isHidden, configurable: true })`,
      );
      await show(page, false);
      let asked = 0;
      page.on('request', () => {
        asked += 1;
      });
      await page.clock.runFor(600_000);
      assert.equal(asked, 0);
      await other.kill();
      await show(page, true);
      await page.getByText('No new figures: the server does not answer').waitFor();
      assert.equal(asked, 1);
      const again = await Astera.start({ upstream: upstream.url, db: other.db, addr });
      try {
        await page.clock.runFor(60_000);
        await page.getByText('Running').waitFor();
      } finally {
        await again.kill();
      }
    } finally {
      await browser.close();
      await other.dispose();
    }
  });
});

/** On a port that no outgoing connection of this machine takes meanwhile. */
async function startElsewhere(): Promise<Astera> {
  for (let port = 21_000 + (process.pid % 5_000); ; port++) {
    const astera = await Astera.start({ upstream: upstream.url, addr: `127.0.0.1:${port}` }).catch(() => {});
    if (astera !== undefined) return astera;
  }
}

async function show(page: Page, isShown: boolean): Promise<void> {
  await page.evaluate(`window.isHidden = ${!isShown}; document.dispatchEvent(new Event('visibilitychange'))`);
}

let isFilled = false;

/** Has all modules stored. */
async function fill(): Promise<void> {
  if (isFilled) return;
  for (const { path, version } of [...SMALL, ...MANY, LARGE]) {
    const { status } = await astera.get(`${path.replace('T', '!t')}/@v/${version}.mod`);
    assert.equal(status, 200, path);
  }
  isFilled = true;
}

async function sizeOf({ path, version }: typeof LARGE): Promise<number> {
  const answer = await fetch(`${upstream.url}/${path}/@v/${version}.zip`, { method: 'HEAD' });
  return Number(answer.headers.get('content-length'));
}
