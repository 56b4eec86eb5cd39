import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from './stack';

const DEPLOY = join(__dirname, '../../deploy');
const READY_MS_MAX = 60_000;
const ALERTMANAGER = 'prometheus-alertmanager';

/** The programs of Debian's packages prometheus and prometheus-alertmanager. */
export const hasPrometheus = ['prometheus', ALERTMANAGER].every((program) => spawnSync(program, ['--version']).error === undefined);

export interface Notification {
  status: 'firing' | 'resolved';
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

/** A Prometheus that scrapes a node each second by the rules of `deploy`, an Alertmanager, and who is told by it. */
export class Monitoring {
  readonly told: Notification[] = [];
  private readonly dir = mkdtempSync(join(tmpdir(), 'il-prometheus-'));
  private readonly children: ChildProcess[] = [];
  private receiver: Server | null = null;
  private url = '';

  /** The alerts of `deploy` fire after a second instead of their `for`, and are told at once. */
  static async start(nodeUrl: string): Promise<Monitoring> {
    const monitoring = new Monitoring();
    const [port, alertmanagerPort] = [await freePort(), await freePort()];
    monitoring.url = `http://127.0.0.1:${port}`;
    const receiver = await monitoring.receive();
    monitoring.write('alertmanager.yml', alertmanagerConfig(receiver));
    monitoring.write('rules.yml', read('prometheus/rules.yml'));
    monitoring.write('alerts.yml', read('prometheus/alerts.yml').replaceAll(/for: \w+/g, 'for: 1s'));
    monitoring.write('prometheus.yml', prometheusConfig(new URL(nodeUrl).host, alertmanagerPort));
    monitoring.spawn(ALERTMANAGER, [
      '--config.file=alertmanager.yml',
      '--storage.path=alertmanager',
      `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
      '--cluster.listen-address=',
    ]);
    monitoring.spawn('prometheus', [
      '--config.file=prometheus.yml',
      '--storage.tsdb.path=tsdb',
      '--enable-feature=exemplar-storage',
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    await until(
      async () => (await monitoring.value('up{job="interleave"}')) === 1,
      READY_MS_MAX,
      () => 'Prometheus does not scrape the node',
    );
    return monitoring;
  }

  /** Of the first series that the query finds; null: it finds none. */
  async value(query: string): Promise<number | null> {
    const response = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
    const found = data.result[0]?.value[1];
    return found === undefined ? null : Number(found);
  }

  /** What was last told of an alert; null: nothing. */
  lastTold(labels: Record<string, string>): Notification | null {
    const isMeant = (one: Notification): boolean => Object.entries(labels).every(([name, value]) => one.labels[name] === value);
    return this.told.findLast(isMeant) ?? null;
  }

  async stop(): Promise<void> {
    for (const child of this.children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    this.receiver?.closeAllConnections();
    this.receiver?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  private spawn(program: string, args: string[]): void {
    this.children.push(spawn(program, args, { cwd: this.dir, stdio: 'ignore' }));
  }

  private write(name: string, text: string): void {
    writeFileSync(join(this.dir, name), text);
  }

  private async receive(): Promise<string> {
    this.receiver = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { alerts } = JSON.parse(Buffer.concat(parts).toString('utf8')) as { alerts: Notification[] };
        this.told.push(...alerts);
        response.end();
      });
    }).listen(0, '127.0.0.1');
    await once(this.receiver, 'listening');
    return `http://127.0.0.1:${(this.receiver.address() as AddressInfo).port}`;
  }
}

const read = (path: string): string => readFileSync(join(DEPLOY, path), 'utf8');

function alertmanagerConfig(receiver: string): string {
  return read('alertmanager/alertmanager.yml')
    .replaceAll(/(group_wait|group_interval): \w+/g, '$1: 1s')
    .replaceAll(/^( {2}- name: .*)$/gm, `$1\n    webhook_configs: [{ url: "${receiver}", send_resolved: true }]`);
}

function prometheusConfig(target: string, alertmanagerPort: number): string {
  return read('prometheus/prometheus.yml')
    .replaceAll(/(scrape_interval|evaluation_interval): \w+/g, '$1: 1s')
    .replace('api:8080', target)
    .replace('alertmanager:9093', `127.0.0.1:${alertmanagerPort}`);
}
