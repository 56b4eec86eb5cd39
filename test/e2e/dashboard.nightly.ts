import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { submitEmbeddings } from '../support/batch-job';
import { CHROMIUM, faultsOf, openBrowser, tabTo, withStalePage } from '../support/browser';
import { embed, startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';

const WORDS_A_ROW = 60;
const WAIT_MS = 120_000;
const VIEWS = ['now', 'cpus', 'models', 'batches', 'events'] as const;
/** `WRITE_SCREENSHOTS=1` writes them to docs/images, after some minutes of history. */
const IMAGES = process.env.WRITE_SCREENSHOTS === '1' ? join(__dirname, '..', '..', 'docs', 'images') : null;
const WRITTEN = ['now-light', 'now-dark', 'now-phone-light', 'batch-light', 'cpus-light', 'models-light', 'events-dark'];
const HISTORY_MS = 90_000;
/** Enough for the batches to be there until the last test: rows of some milliseconds each. */
const ROWS = IMAGES === null ? 120_000 : 300_000;

/** A real node under load, seen by a real browser. Skipped where there is no Chromium: apt-get install chromium. */
(CHROMIUM === null ? describe.skip : describe)('the dashboard in Chromium', () => {
  let stack: Stack;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let load: ReturnType<typeof startLiveLoad>;
  let batches: string[];
  /** What the page complained about. */
  const complaints: string[] = [];

  const open = async (hash: string): Promise<void> => {
    await page.goto(`${stack.url}/dashboard#/${hash}`);
    const [view = ''] = hash.split('/');
    await page.getByRole('heading', { name: new RegExp(`^${view}$`, 'i'), level: 1 }).waitFor({ state: 'attached' });
    await page.locator('.verdict').waitFor();
  };
  const textOf = (selector: string): Promise<string> => page.locator(selector).first().innerText();
  const figure = (panel: string, label: string): string => `.${panel} .figure:has(.figure-label:text-is("${label}")) .figure-value`;
  const listen = (on: Page): void => {
    on.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    on.on('pageerror', (error) => complaints.push(error.message));
  };
  const keepImage = async (name: string): Promise<void> => {
    if (IMAGES !== null && WRITTEN.includes(name)) await page.screenshot({ path: join(IMAGES, `dashboard-${name}.png`), fullPage: true });
  };
  const batchOf = async (id: string) =>
    (await (await fetch(`${stack.url}/v1/batches/${id}`)).json()) as { status: string; interleave: { paused?: string } };

  beforeAll(async () => {
    stack = await Stack.start({
      models: ['encoder-tiny', 'langid'],
      modelFiles: { 'encoder-tiny': 'tokenIds: true\ndimensions: any\nrealtime: { sloMs: 500 }\n' },
    });
    load = startLiveLoad({ concurrency: 2, send: (sequence) => embed(stack.url, 'encoder-tiny', `request ${sequence} of a caller`) });
    const rows = (batch: number) => Array.from({ length: ROWS }, (_, row) => `${batch} ${row} ${'word '.repeat(WORDS_A_ROW)}`);
    batches = [await submitEmbeddings(stack, 'encoder-tiny', rows(1)), await submitEmbeddings(stack, 'encoder-tiny', rows(2))];
    browser = await openBrowser();
    context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'light', reducedMotion: 'reduce' });
    page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    listen(page);
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await load?.stop();
    await stack?.stop();
  }, 120_000);

  it(
    'says in words how the node is, and its numbers move',
    async () => {
      await open('now');
      expect(await textOf('.verdict-text')).toMatch(/\w/);
      for (const selector of [figure('lane-live', 'Requests'), figure('lane-batch', 'Rows done')]) {
        const seen = new Set<string>();
        await until(
          async () => {
            const text = await textOf(selector);
            if (/^[\d\u202f.]*[1-9]/.test(text)) seen.add(text);
            return seen.size >= 3;
          },
          WAIT_MS,
          () => `${selector} said only ${[...seen].join(', ')}`,
        );
      }
      await page.locator('.running .running-name').first().waitFor();
    },
    2 * WAIT_MS,
  );

  it(
    'tells of a killed worker in words, with what to do',
    async () => {
      await open('events');
      const event = page.locator('.event', { hasText: 'default-batch' }).filter({ hasText: /kill|SIGKILL/i });
      expect(await event.count()).toBe(0);
      process.kill(await stack.pidOf('default-batch'), 'SIGKILL');
      await event.first().waitFor();
      expect(await event.first().innerText()).toMatch(/What to do/);
      await page.getByRole('link', { name: 'Now', exact: true }).click();
      await page.locator('.changes li', { hasText: 'default-batch' }).first().waitFor();
    },
    2 * WAIT_MS,
  );

  it(
    'shows the model that was chosen, however long the list is, also from another view',
    async () => {
      const detail = page.getByRole('heading', { name: /, version 1$/ });
      const isInView = async () => ((await detail.boundingBox())?.y ?? Infinity) < 300;
      const isShown = async (model: string) => {
        await detail.and(page.getByRole('heading', { name: `${model}, version 1` })).waitFor();
        await until(isInView, WAIT_MS, () => `${model} is out of view`);
      };
      await page.setViewportSize({ width: 375, height: 300 });
      await open('models');
      const shownFirst = ((await detail.textContent()) ?? '').replace(', version 1', '');
      expect(await isInView()).toBe(false);
      await page.getByRole('link', { name: shownFirst, exact: true }).click();
      await isShown(shownFirst);
      await page.getByRole('link', { name: 'langid', exact: true }).click();
      await isShown('langid');
      await open('now');
      await page.evaluate("location.hash = '#/models/langid%2F1'");
      await isShown('langid');
      await page.setViewportSize({ width: 1440, height: 900 });
    },
    2 * WAIT_MS,
  );

  it(
    'pauses a batch, lets it go on, and cancels it after a question',
    async () => {
      const [id = ''] = batches;
      await open('batches');
      await page.getByRole('link', { name: id }).click();
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.locator('.badge', { hasText: 'paused' }).first().waitFor();
      await until(
        async () => (await batchOf(id)).interleave.paused !== undefined,
        WAIT_MS,
        () => 'not paused',
      );
      await page.getByRole('button', { name: 'Resume' }).click();
      await page.locator('.badge', { hasText: 'running' }).first().waitFor();
      await page.locator('.span').first().waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'No, leave it' }).click();
      expect((await batchOf(id)).status).toBe('in_progress');
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Cancel it' }).click();
      await until(
        async () => (await batchOf(id)).status === 'cancelled',
        WAIT_MS,
        () => 'not cancelled',
      );
      await page.locator('.badge', { hasText: 'cancelled' }).first().waitFor();
    },
    3 * WAIT_MS,
  );

  it(
    'finds a row by its custom_id',
    async () => {
      await open('batches');
      await page.getByRole('searchbox').fill('row-3');
      await page.keyboard.press('Enter');
      await page.locator('.hit', { hasText: 'row-3' }).first().waitFor();
    },
    WAIT_MS,
  );

  it(
    'is used by the keyboard alone',
    async () => {
      const [, id = ''] = batches;
      await open('now');
      await tabTo(page, 'button', 'Skip to content');
      await tabTo(page, 'link', 'Batches');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Batches', level: 1 }).waitFor({ state: 'attached' });
      await page.getByRole('link', { name: id }).waitFor();
      await tabTo(page, 'link', id);
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Pause' }).waitFor();
      await tabTo(page, 'button', 'Pause');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Resume' }).waitFor();
      await tabTo(page, 'button', 'Resume');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Pause' }).waitFor();
      await tabTo(page, 'img', /arrow keys go from chunk to chunk/);
      const before = await textOf('.span-detail');
      await page.keyboard.press('ArrowLeft');
      await until(
        async () => (await textOf('.span-detail')) !== before,
        WAIT_MS,
        () => `still ${before}`,
      );
      await tabTo(page, 'button', 'Cancel');
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      expect((await batchOf(id)).status).toBe('in_progress');
    },
    2 * WAIT_MS,
  );

  // Whoever reads the documentation need not see that.
  (IMAGES === null ? it : it.skip)(
    'goes on by itself after the API was away, and keeps its view over a reload',
    async () => {
      await open('cpus');
      for (const id of ['api-1', 'api-2']) process.kill(await stack.pidOf(id), 'SIGKILL');
      await page.locator('.link-bad').waitFor();
      await page.locator('.link-ok').waitFor();
      await page.reload();
      await page.getByRole('heading', { name: 'CPUs', level: 2 }).waitFor();
      // What the browser itself says of a connection that broke.
      complaints.splice(0, complaints.length, ...complaints.filter((text) => !/ERR_|Failed to load resource/.test(text)));
    },
    WAIT_MS,
  );

  if (IMAGES !== null) it('has a history', () => sleep(HISTORY_MS), 2 * HISTORY_MS);

  describe.each(['light', 'dark'] as const)('in %s colours', (colorScheme) => {
    it.each([...VIEWS, 'batch'] as const)(
      'axe finds nothing in %s, and nothing is wider than the page',
      async (view) => {
        const shown = view === 'batch' ? `batches/${batches[1] ?? ''}` : view;
        for (const viewport of [
          { width: 1440, height: 900 },
          { width: 390, height: 844 },
        ]) {
          await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
          await page.setViewportSize(viewport);
          await open(shown);
          await page
            .locator(view === 'batch' ? '.timeline' : '.verdict')
            .first()
            .waitFor();
          expect(await faultsOf(page)).toEqual([]);
          await withStalePage(page, async () => expect(await faultsOf(page)).toEqual([]));
          expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
          await keepImage(`${view}-${viewport.width < 500 ? 'phone-' : ''}${colorScheme}`);
        }
      },
      WAIT_MS,
    );
  });

  it('never complained in the console', () => expect(complaints).toEqual([]));

  it('live requests did not notice', () => {
    expect(load.report.answered).toBeGreaterThan(0);
    expect(load.report.failures.filter((failure) => !/ECONNRESET|fetch failed/.test(failure))).toEqual([]);
  });
});
