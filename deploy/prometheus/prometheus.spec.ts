import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  labels?: { severity: string };
  annotations?: { summary?: string; description?: string; runbook_url?: string };
}
interface Panel {
  title: string;
  targets?: { expr: string; datasource?: { type?: string } }[];
}

const deploy = join(__dirname, '..');
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8');
const rulesOf = (file: string): Rule[] =>
  (parse(read(`prometheus/${file}`)) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
const recorded = rulesOf('rules.yml');
const alerts = rulesOf('alerts.yml') as (Rule & { alert: string })[];
const tests = readdirSync(join(deploy, 'prometheus/tests')).map((file) => `prometheus/tests/${file}`);
const names = alerts.map(({ alert }) => alert);
const runbook = read('../docs/runbook.md');
const entries = [...runbook.matchAll(/^### (Interleave\w+)\n([^]*?)(?=^##|$(?![^]))/gm)].map(([, name = '', text = '']) => ({
  name,
  text,
}));

const documented = [...read('../docs/metrics.md').matchAll(/^\| `(\w+)` \| (\w+)/gm)];
/** All series: those of the metrics page, with those that histograms have, what is recorded, and what Prometheus makes. */
const series = new Set([
  'up',
  ...documented.flatMap(([, name = '', type]) => (type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name])),
  ...recorded.map(({ record = '' }) => record),
]);
const unknownIn = (query: string): string[] =>
  (query.replaceAll(/"[^"]*"/g, '').match(/\b(?:interleave|nv_inference)[_:][\w:]*/g) ?? []).filter((name) => !series.has(name));

const dashboards = readdirSync(join(deploy, 'grafana/dashboards')).map((file) => ({
  file,
  ...(JSON.parse(read(`grafana/dashboards/${file}`)) as { panels: Panel[] }),
}));

/** What the program says where it fails, or '' where it succeeds. Null: it is not installed. */
function complaint(program: string, args: string[]): string | null {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: deploy, encoding: 'utf8' });
  if (error !== undefined) return null;
  return status === 0 ? '' : `${stdout}${stderr}`;
}
const itWith = (program: string): jest.It => (spawnSync(program, ['--version']).error === undefined ? it : it.skip);

describe('rules of Prometheus', () => {
  itWith('promtool')('are valid (skipped without promtool, of the package prometheus)', () => {
    expect(complaint('promtool', ['check', 'config', 'prometheus/prometheus.yml'])).toBe('');
  });

  itWith('promtool')('fire when they should and only then (skipped without promtool)', () => {
    expect(complaint('promtool', ['test', 'rules', ...tests])).toBe('');
  });

  it('have a test for every alert', () => {
    const tested = new Set(
      tests.flatMap((file) => [...read(file).matchAll(/alertname: (\w+)\n\s+exp_alerts:\n/g)].map(([, name]) => name)),
    );
    expect(names.filter((name) => !tested.has(name))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  it('say in every alert how bad it is, what happens and where help is', () => {
    for (const { alert, labels, annotations } of alerts) {
      expect([alert, ['warning', 'critical']]).toEqual([alert, expect.arrayContaining([labels?.severity])]);
      expect(annotations).toEqual({
        summary: expect.stringMatching(/^.{10,100}$/) as string,
        description: expect.stringMatching(/\.$/) as string,
        runbook_url: `docs/runbook.md#${alert.toLowerCase()}`,
      });
    }
  });

  it('ask for metrics that exist, as do the dashboards of Grafana and the runbook', () => {
    expect(documented.length).toBeGreaterThan(50);
    expect([...recorded, ...alerts].flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
    const targets = dashboards.flatMap(({ panels }) => panels.flatMap((panel) => panel.targets ?? []));
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter(({ datasource }) => datasource?.type !== 'loki').flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
    expect(unknownIn(runbook)).toEqual([]);
  });
});

describe('Alertmanager', () => {
  itWith('amtool')('understands its configuration (skipped without amtool, of the package prometheus-alertmanager)', () => {
    expect(complaint('amtool', ['check-config', 'alertmanager/alertmanager.yml'])).toBe('');
  });

  it('names alerts that exist', () => {
    const named = read('alertmanager/alertmanager.yml').match(/Interleave\w+/g) ?? [];
    expect(named.filter((name) => !names.includes(name))).toEqual([]);
  });
});

describe('docs/runbook.md', () => {
  it('has an entry for every alert, and no other', () => {
    expect(entries.map(({ name }) => name).sort()).toEqual([...names].sort());
  });

  it.each(entries)('says of $name what it means, how to confirm it, what to do, which logs, and whether it can wait', ({ text }) => {
    const parts = [...text.matchAll(/^\*\*(.+?)\.\*\*/gm)].map(([, part]) => part);
    expect(parts).toEqual(['Means', 'Confirm', 'Do', 'Logs', 'Wake somebody']);
  });

  it('asks Loki by labels that the collector gives', () => {
    const selectors = [...runbook.matchAll(/\{(app="[^}]*)\}/g)].map(([, selector = '']) => selector);
    expect(selectors.length).toBeGreaterThanOrEqual(entries.length);
    const labels = new Set(selectors.flatMap((selector) => selector.match(/\w+(?==)/g) ?? []));
    expect([...labels].filter((label) => !['app', 'node', 'process', 'level'].includes(label))).toEqual([]);
  });
});
