/** A real Chromium without a window, for pages. It has no profile of anybody's, and notes what a page should not do. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Debian's. */
const PROGRAM = 'chromium';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export type Look = Pick<BrowserContextOptions, 'colorScheme' | 'viewport' | 'httpCredentials'>;

export class Browser {
  readonly page: Page;
  /** Errors on the console, exceptions, and requests that failed. */
  readonly faults: string[] = [];
  /** Origins that the page has asked. */
  readonly origins = new Set<string>();
  readonly #context: BrowserContext;
  readonly #profile: string;

  static async open(look: Look = {}): Promise<Browser> {
    const profile = await mkdtemp(join(tmpdir(), 'astera-chromium-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: await pathOf(PROGRAM),
      headless: true,
      args: FLAGS,
      ...look,
    });
    return new Browser(context, context.pages()[0] ?? (await context.newPage()), profile);
  }

  private constructor(context: BrowserContext, page: Page, profile: string) {
    this.#context = context;
    this.page = page;
    this.#profile = profile;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.faults.push(message.text());
    });
    page.on('pageerror', (error) => this.faults.push(String(error)));
    page.on('requestfailed', (request) => {
      // A search that a later one has overtaken.
      const why = request.failure()?.errorText ?? '';
      if (why !== 'net::ERR_ABORTED') this.faults.push(`${request.url()}: ${why}`);
    });
    page.on('request', (request) => this.origins.add(new URL(request.url()).origin));
  }

  /** Another tab of the same window. */
  newTab(): Promise<Page> {
    return this.#context.newPage();
  }

  async close(): Promise<void> {
    await this.#context.close();
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function pathOf(program: string): Promise<string> {
  const { access } = await import('node:fs/promises');
  for (const directory of (process.env.PATH ?? '').split(':')) {
    const path = join(directory, program);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error(`no ${program} on this machine: install Debian's package of that name`);
}
