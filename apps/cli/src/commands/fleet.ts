import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { FleetView, LostNode, NodeHeartbeat } from '@app/contracts';
import { ApiClient, withServer, type Server } from '../client';
import { printable } from '../printable';
import { table } from '../table';

const WATCH_MS = 2_000;
const CLEAR = '\u001b[H\u001b[2J';

interface Options extends Server {
  json?: true;
  watch?: true;
}

export function addFleetCommand(program: Command): void {
  withServer(program.command('fleet'))
    .description('lists the nodes that share the Redis of the server: state, load, and which were lost within the last 15 minutes')
    .option('--json', 'prints the answer of the server')
    .option('--watch', 'every two seconds')
    .action(async ({ json, watch, ...server }: Options) => {
      const client = new ApiClient(server);
      const show = async (): Promise<string> => {
        const view = await client.get<FleetView>('/fleet');
        return json ? JSON.stringify(view, null, watch ? 0 : 2) : fleetText(view, Date.now());
      };
      do {
        const text = await show();
        console.log(watch && !json && process.stdout.isTTY ? CLEAR + text : text);
        if (watch) await sleep(WATCH_MS);
      } while (watch);
    });
}

/** As people read it. */
export function fleetText({ fleet, nodes, lost, problem, unreadable }: FleetView, nowMs: number): string {
  const header = ['NODE', 'STATE', 'FOR', 'ADDRESS', 'VERSION', 'CPUS', 'MODELS', 'BACKLOG', 'BUSY', 'BATCH'];
  const notes = [
    ...(problem === null ? [] : [`The list is old: ${problem}`]),
    ...(unreadable === 0 ? [] : [`${unreadable} nodes of another release are not shown`]),
    ...nodes.flatMap(({ id, reason, warnings }) => [reason, ...warnings].flatMap((text) => (text === null ? [] : [`${id}: ${text}`]))),
  ];
  const rows = [...nodes.map((node) => nodeRow(node, nowMs)), ...lost.map((node) => lostRow(node, nowMs))];
  // What nodes say of themselves comes from Redis: nothing in it may steer the terminal.
  return [`fleet ${fleet}`, table(header, rows), ...notes].map(printable).join('\n');
}

function nodeRow(node: NodeHeartbeat, nowMs: number): string[] {
  const { id, state, stateSinceMs, version, models, liveBacklogMs, utilization, batch } = node;
  const ready = models.filter((model) => model.state === 'ready').length;
  return [
    id,
    state,
    duration(nowMs - stateSinceMs),
    addressOf(node),
    version,
    cpusOf(node),
    `${ready} of ${models.length}`,
    `${liveBacklogMs.toFixed(1)} ms`,
    utilization === null ? '' : `${Math.round(utilization * 100)} %`,
    batch === null ? '' : (batch.paused ?? `${Math.round(batch.rowsPerSecond)} rows/s`),
  ];
}

function lostRow({ id, lastSeenMs, last }: LostNode, nowMs: number): string[] {
  return [id, 'lost', duration(nowMs - lastSeenMs), ...(last === null ? [] : [addressOf(last), last.version, cpusOf(last)])];
}

const addressOf = ({ address, httpPort }: NodeHeartbeat): string => `${address}:${httpPort}`;
const cpusOf = ({ partitions }: NodeHeartbeat): string => partitions.map(({ cpus, class: kind }) => `${cpus} ${kind}`).join(', ');

function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
