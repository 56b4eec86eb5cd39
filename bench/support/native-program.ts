import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { CostGrid } from '@app/contracts';

/** In the checkout that the benchmark is started in. */
const BUILT = join('libs', 'native', 'build');

/** A program of libs/native/bench that answers each line with a line. One command at a time. */
export class NativeProgram {
  private readonly process: ChildProcessByStdio<Writable, Readable, null>;
  private readonly answers: AsyncIterator<string>;
  private readonly lines: Interface;

  constructor(
    private readonly name: string,
    args: string[] = [],
  ) {
    const path = join(BUILT, name);
    if (!existsSync(path)) throw new Error(`${path} is not built; start the benchmark with make bench, or build that target`);
    this.process = spawn(path, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.process.stdout });
    this.answers = this.lines[Symbol.asyncIterator]();
  }

  async ask(command: string): Promise<string> {
    this.process.stdin.write(`${command}\n`);
    const { value, done } = await this.answers.next();
    if (done === true) throw new Error(`${this.name} ended on: ${command.slice(0, 80)}`);
    return value;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('close', resolve));
    this.process.stdin.end();
    await ended;
  }
}

/** Tells a program the costs of runs. */
export function tableCommand({ lengths, rows, runNs }: CostGrid): string {
  return ['table', lengths.length, rows.length, ...lengths, ...rows, ...runNs.flat()].join(' ');
}
