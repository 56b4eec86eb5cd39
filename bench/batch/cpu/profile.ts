import { existsSync, readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const OPEN_MS_MAX = 10_000;
const ANSWER_MS_MAX = 120_000;
const SAMPLE_US = 500;

/** Of Node.js 22, or 20 with --experimental-websocket. */
interface Socket {
  addEventListener(type: 'open' | 'error' | 'message', listener: (event: { data?: unknown }) => void): void;
  removeEventListener(type: 'message', listener: (event: { data?: unknown }) => void): void;
  send(text: string): void;
  close(): void;
}
const { WebSocket } = globalThis as { WebSocket?: new (url: string) => Socket };

export const canProfile = WebSocket !== undefined;

interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
  columnNumber: number;
}

/** What a process did while it was watched: nodes of call trees, with the time that each took itself. */
export interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[];
  samples: number[];
  /** Microseconds before each sample. */
  timeDeltas: number[];
}

/** V8's sampling profiler in another process. `log` is what it wrote so far: it says there where its inspector listens. */
export class RemoteProfiler {
  private next = 1;

  private constructor(private readonly socket: Socket) {}

  static async open(pid: number, log: () => string): Promise<RemoteProfiler> {
    const seen = log().length;
    process.kill(pid, 'SIGUSR1');
    const giveUpAt = performance.now() + OPEN_MS_MAX;
    for (;;) {
      const url = /ws:\/\/127\.0\.0\.1:\d+\/[0-9a-f-]+/.exec(log().slice(seen))?.[0];
      if (url !== undefined) return new RemoteProfiler(await connect(url));
      if (performance.now() > giveUpAt) throw new Error(`process ${pid} opened no inspector`);
      await sleep(20);
    }
  }

  async start(): Promise<void> {
    await this.call('Profiler.enable', {});
    await this.call('Profiler.setSamplingInterval', { interval: SAMPLE_US });
    await this.call('Profiler.start', {});
  }

  async stop(): Promise<CpuProfile> {
    const { profile } = (await this.call('Profiler.stop', {})) as { profile: CpuProfile };
    this.socket.close();
    return profile;
  }

  private call(method: string, params: object): Promise<object> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), ANSWER_MS_MAX);
      const onMessage = ({ data }: { data?: unknown }): void => {
        const answer = JSON.parse(String(data)) as { id?: number; result?: object; error?: { message: string } };
        if (answer.id !== id) return;
        clearTimeout(timer);
        this.socket.removeEventListener('message', onMessage);
        if (answer.error === undefined) resolve(answer.result ?? {});
        else reject(new Error(`${method}: ${answer.error.message}`));
      };
      this.socket.addEventListener('message', onMessage);
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }
}

function connect(url: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (WebSocket === undefined) return reject(new Error('there is no WebSocket; use node --experimental-websocket'));
    const socket = new WebSocket(url);
    socket.addEventListener('open', () => resolve(socket));
    socket.addEventListener('error', () => reject(new Error(`${url}: no connection`)));
  });
}

const sourceMaps = new Map<string, SourceMap | null>();

/** The file that a function was written in; processes run bundles. */
function sourceOf({ url, lineNumber, columnNumber }: CallFrame): string {
  const entry = sourceMapOf(url)?.findEntry(lineNumber, columnNumber);
  return entry !== undefined && 'originalSource' in entry ? entry.originalSource : url;
}

function sourceMapOf(url: string): SourceMap | null {
  if (!url.startsWith('file:')) return null;
  let known = sourceMaps.get(url);
  if (known === undefined) {
    const path = `${fileURLToPath(url)}.map`;
    known = existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, 'utf8')) as SourceMapPayload) : null;
    sourceMaps.set(url, known);
  }
  return known;
}

/** Milliseconds by stage: of each function, or of the nearest one that called it, whose file belongs to a stage. */
export function msByStage(profile: CpuProfile, stageOf: (url: string, functionName: string) => string | null): Map<string, number> {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const stages = new Map<number, string>();
  const visit = (id: number, inherited: string): void => {
    const node = byId.get(id);
    if (node === undefined) return;
    const stage = stageOf(sourceOf(node.callFrame), node.callFrame.functionName) ?? inherited;
    stages.set(id, stage);
    for (const child of node.children ?? []) visit(child, stage);
  };
  visit(profile.nodes[0]?.id ?? 0, 'other');
  const sums = new Map<string, number>();
  profile.samples.forEach((id, i) => {
    const stage = stages.get(id) ?? 'other';
    sums.set(stage, (sums.get(stage) ?? 0) + (profile.timeDeltas[i] ?? 0) / 1000);
  });
  return sums;
}

/** The functions that took most of the time themselves. */
export function hottest(profile: CpuProfile, count: number): { name: string; ms: number }[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame }) => [
      id,
      `${callFrame.functionName || '(anonymous)'} ${sourceOf(callFrame).split('/').slice(-2).join('/')}`,
    ]),
  );
  const sums = new Map<string, number>();
  profile.samples.forEach((id, i) => {
    const name = names.get(id) ?? '?';
    sums.set(name, (sums.get(name) ?? 0) + (profile.timeDeltas[i] ?? 0) / 1000);
  });
  return [...sums]
    .map(([name, ms]) => ({ name, ms }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, count);
}
