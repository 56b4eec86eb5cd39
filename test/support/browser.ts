import { existsSync, readFileSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';

/** Debian's and others' Chromium; null: there is none here. */
export const CHROMIUM =
  ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path)) ?? null;

export const openBrowser = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] });

const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with the page as it is: rule, and the elements. */
export async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    type Axe = { run: () => Promise<{ violations: { id: string; nodes: { target: unknown[]; html: string }[] }[] }> };
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ target, html }) => `${String(target)} ${html.slice(0, 200)}`).join(', ')}`,
    );
  });
}

/** Does something while the dashboard looks as it does without news from the node. */
export async function withStalePage(page: Page, work: () => Promise<void>): Promise<void> {
  const set = (isStale: boolean) => page.evaluate(`document.querySelector('main').classList.toggle('is-stale', ${isStale})`);
  await set(true);
  await work();
  await set(false);
}

const TABS_MAX = 150;

/** Presses Tab until the element with this role and name has the focus. Throws when it is not reached, or when the focus is not seen. */
export async function tabTo(page: Page, role: Parameters<Page['getByRole']>[0], name: string | RegExp): Promise<void> {
  const wanted = page.getByRole(role, { name }).first();
  for (let pressed = 0; pressed < TABS_MAX; pressed++) {
    await page.keyboard.press('Tab');
    if (!(await wanted.evaluate((element) => element === element.ownerDocument.activeElement).catch(() => false))) continue;
    const outline = await wanted.evaluate(
      (element) => (element.ownerDocument.defaultView as unknown as Styles).getComputedStyle(element).outlineStyle,
    );
    if (outline === 'none') throw new Error(`${role} "${String(name)}" has the focus and does not show it`);
    return;
  }
  throw new Error(`${role} "${String(name)}" is not reached by ${TABS_MAX} tabs`);
}

interface Styles {
  getComputedStyle: (element: unknown) => { outlineStyle: string };
}
