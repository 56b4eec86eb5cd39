import type { CpuView } from '@app/contracts';
import { cpuBar, sparkline } from './charts';
import { drawAll, drawScreen, type Scene } from './layout';
import { cut, fit, line, plainText, span, widthOf, wrap, type Line } from './styled-text';
import { AT_MS, batch, nodeHistory, nodeView } from './testing/node-view';

const scene = (changes: Partial<Scene> = {}): Scene => ({
  view: nodeView(),
  history: nodeHistory(),
  connection: { kind: 'live' },
  nowMs: AT_MS + 1_000,
  focus: 'batches',
  scroll: 0,
  chosenBatch: 'batch_one',
  footer: line('footer'),
  ...changes,
});

const textOf = (lines: readonly Line[]): string => lines.map((one) => plainText(one).trimEnd()).join('\n');
const draw = (changes: Partial<Scene> = {}, columns = 100, rows = 30): string => textOf(drawScreen(scene(changes), { columns, rows }));

describe('the screen of a node', () => {
  it('says how the node is in the words of the dashboard', () => {
    const text = draw();
    expect(text).toContain('● OK  Live is fine: p99 18 ms of 80 ms goal. Batch lane uses 61 % of the idle CPU.');
    expect(text.split('\n')[0]).toMatch(/^interleave node-a {2}0\.2\.0, up 23 h +live, 1 s old$/);
  });

  it('shows lanes, CPUs, batches and events with their units', () => {
    const text = draw({}, 140);
    expect(text).toMatch(/live +148 +212 +6\.2 ms +13\.9 ms +18\.1 ms +80 ms +3 = 4\.7 ms +0 +8 % {2}▁▃▆█/);
    expect(text).toMatch(/batch +0 +934 +– +– +– +– +768 ≥ 7 min/);
    expect(text).toMatch(/ 0 {2}█{10}▓{20}▒{2}·{8} +25 % +50 %/);
    expect(text).toMatch(/▸ batch_one +60 % +█{10}░{6} +20,000 +200 +701 +12 s +8 s and 15 s/);
    expect(text).toMatch(/▲ paused by request/);
    expect(text).toMatch(/\d\d:\d\d:\d\d {2}▲ default-batch was restarted\. {2}Look at the model\./);
  });

  it.each([
    [200, 60],
    [100, 24],
    [80, 24],
    [40, 20],
    [20, 8],
    [1, 1],
  ])('fits %i columns and %i rows', (columns, rows) => {
    const lines = drawScreen(scene({ view: nodeView({ batches: Array.from({ length: 40 }, (_, at) => batch(`batch_${at}`)) }) }), {
      columns,
      rows,
    });
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
    expect(plainText(lines.at(-1) ?? [])).toBe(cut('footer', columns));
  });

  it('keeps what matters most where the screen is narrow', () => {
    const text = draw({}, 40);
    expect(text).toMatch(/LANE +REQ\/S +ROWS\/S +P99 +REFUSED/);
    expect(text).not.toContain('PADDING');
    expect(text).toMatch(/batch_one +60 %/);
    expect(text).toMatch(/batch_two +‖ 60 %/);
  });

  it('gives room to the panel that is looked at, and says what is not shown', () => {
    const view = nodeView({ batches: Array.from({ length: 40 }, (_, at) => batch(`batch_${at}`)) });
    expect(draw({ view, scroll: 30 }, 100, 24)).toMatch(/▸ Batches \(40\) {2}\d+ more[^]*batch_30/);
    expect(draw({ view, focus: 'events' }, 100, 24)).toContain('▸ Events');
  });

  it.each([
    [
      'the scheduler is away',
      { connection: { kind: 'away', sinceMs: AT_MS - 9_000, reason: 'it restarts' } },
      /■ the scheduler is away for 10 s[^]*it restarts/,
    ],
    ['nobody answers', { connection: { kind: 'lost', sinceMs: AT_MS, reason: 'ECONNREFUSED' } }, /■ no connection for 1 s[^]*ECONNREFUSED/],
    ['nothing new came', { nowMs: AT_MS + 60_000 }, /▲ 60 s old/],
  ] as const)('says so where %s', (_, changes, expected) => expect(draw(changes)).toMatch(expected));

  it('shows nothing that others wrote as it is', () => {
    const text = draw({ view: nodeView({ batches: [batch('batch_one', { model: 'a\u001b[2Jb', paused: 'x\ny\u0007' })] }) }, 200);
    expect(text).not.toMatch(/\u001b|\u0007/);
    expect(text).toContain('a?[2Jb');
  });

  it('divides many CPUs into columns', () => {
    const cpus = Array.from({ length: 64 }, (_, cpu): CpuView => ({ ...(nodeView().cpus[0] as CpuView), cpu }));
    const text = textOf(drawAll({ view: nodeView({ cpus }), history: null, connection: { kind: 'live' }, nowMs: AT_MS }, 160));
    expect(text).toMatch(/^ {3}0 .* {2}16 .* {2}32 .* {2}48 /m);
  });

  it('says what is to be done where there is nothing', () => {
    const text = draw({ view: nodeView({ batches: [], events: [] }) });
    expect(text).toContain('interleave batch submit <file> starts one');
    expect(text).toContain('Nothing happened yet');
  });
});

describe('parts of lines', () => {
  it.each([
    [[1, 2, 4], 3, '▃▅█'],
    [[null, 0, 0], 3, ' ▁▁'],
    [[1, 2, 3, 4], 2, '▅█'],
    [[], 5, ''],
  ])('draws %j in %i characters', (values, chars, expected) => expect(sparkline(values, chars)).toBe(expected));

  it('fills a bar whatever is rounded', () => {
    for (let chars = 1; chars < 60; chars++)
      expect(widthOf(cpuBar({ live: 0.333, batch: 0.333, system: 0.333, idle: 0.001 }, chars))).toBe(chars);
  });

  it('cuts, fits and wraps', () => {
    expect([cut('abcdef', 4), cut('abc', 4), cut('abc', 0)]).toEqual(['abc…', 'abc', '']);
    expect(plainText(fit([span('abc'), span('def')], 4))).toBe('abc…');
    expect(wrap('one two three four', 8, 2)).toEqual(['one two', 'three …']);
  });
});
