import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, until } from '../../test/support/stack';
import type { Peer, Place } from './peer';
import { memoryMiB, treeOf } from './process-tree';

const FIRST_ANSWER_MS_MAX = 120_000;
const EXIT_MS_MAX = 20_000;
/** Between two tries of the first request. */
const TRY_MS = 20;
const LOG_CHARACTERS = 4000;

/** A peer that runs, with all its processes. */
export class PeerServer {
  /** From the start of the process to the first answer. */
  firstAnswerMs = NaN;

  private constructor(
    readonly peer: Peer,
    readonly url: string,
    readonly place: Place,
    private readonly root: ChildProcess,
    private readonly logPath: string,
  ) {}

  static async start(peer: Peer, options: Omit<Place, 'port'>): Promise<PeerServer> {
    const place = { ...options, port: await freePort() };
    const { program, args, environment } = peer.command(place);
    const logPath = join(place.folder, 'log.txt');
    const log = openSync(logPath, 'w');
    const startMs = performance.now();
    const root = spawn(program, args, { env: { ...process.env, ...environment }, stdio: ['ignore', log, log] });
    closeSync(log);
    const server = new PeerServer(peer, `http://127.0.0.1:${place.port}`, place, root, logPath);
    // A bench that is ended early leaves no server behind.
    process.once('exit', () => root.kill('SIGTERM'));
    try {
      await server.firstAnswer();
      server.firstAnswerMs = performance.now() - startMs;
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  async embed(ids: number[]): Promise<number[]> {
    const response = await fetch(`${this.url}${this.peer.path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(this.peer.bodyOf(ids)),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${this.peer.name}: ${response.status} ${text}`);
    return this.peer.vectorOf(JSON.parse(text) as never);
  }

  /** MiB. */
  memory(): number {
    return memoryMiB(treeOf(this.root.pid ?? 0));
  }

  /** SIGTERM, and SIGKILL for what has not ended in time. */
  async stop(): Promise<void> {
    const pids = treeOf(this.root.pid ?? 0);
    const left = (): number[] => pids.filter((pid) => existsSync(`/proc/${pid}`));
    this.root.kill('SIGTERM');
    await until(
      async () => left().length === 0,
      EXIT_MS_MAX,
      () => '',
    ).catch(() => left().forEach((pid) => process.kill(pid, 'SIGKILL')));
  }

  private async firstAnswer(): Promise<void> {
    const isOver = (): boolean => this.root.exitCode !== null;
    const why = (): string => `${this.peer.name} does not answer:\n${readFileSync(this.logPath, 'utf8').slice(-LOG_CHARACTERS)}`;
    for (const startMs = performance.now(); ;) {
      const isAnswered = await this.embed([101, 102]).then(
        () => true,
        () => false,
      );
      if (isAnswered) return;
      if (isOver() || performance.now() - startMs > FIRST_ANSWER_MS_MAX) throw new Error(why());
      await new Promise((resolve) => setTimeout(resolve, TRY_MS));
    }
  }
}
