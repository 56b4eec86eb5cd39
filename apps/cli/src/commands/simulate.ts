import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { z } from 'zod';
import type { CostGrid, Lane } from '@app/contracts';
import { simulate, type SimulationReport } from '@app/native';
import { CliError } from '../cli-error';
import { readTrace } from '../simulation/trace';
import { table } from '../table';

const costFileSchema = z.object({
  grid: z.object({ lengths: z.array(z.number()), rows: z.array(z.number()), runNs: z.array(z.array(z.number())) }),
});

interface SimulateOptions {
  costs: string;
  lane: Lane;
  executors: number;
  rowsMax: number;
  tokensMax: number;
  queueItemsMax: number;
  seed: number;
  json?: boolean;
}

export function addSimulateCommand(program: Command): void {
  program
    .command('simulate <trace>')
    .description(
      'plays a trace against the scheduler in virtual time; each line of it: arrivalMs, length, and optionally rows, timeoutMs, priority, model',
    )
    .requiredOption(
      '--costs <file>',
      'a cost table as `interleave calibrate` stores it (DATA_DIR/calibration/*.json); of every model in the trace',
    )
    .addOption(new Option('--lane <lane>').choices(['realtime', 'batch']).default('realtime'))
    .option('--executors <count>', 'CPUs that run the model', positiveInteger, 1)
    .option('--rows-max <count>', 'rows of one run', positiveInteger, 32)
    .option('--tokens-max <count>', 'tokens of one run, padding included', positiveInteger, 4096)
    .option('--queue-items-max <count>', 'requests that may wait', positiveInteger, 1024)
    .option('--seed <number>', 'of the noise in the run times', positiveInteger, 1)
    .option('--json', 'the figures as JSON')
    .action(async (path: string, options: SimulateOptions) => {
      const costs = readCosts(options.costs);
      const { items, modelsCount } = await readTrace(path);
      const startedMs = performance.now();
      const report = run({ ...options, costs, modelsCount, trace: items });
      console.log(options.json ? JSON.stringify(report) : figures(report, performance.now() - startedMs));
    });
}

function run(options: Parameters<typeof simulate>[0]): SimulationReport {
  const { lane, executors, costs, rowsMax, tokensMax, modelsCount, queueItemsMax, seed, trace } = options;
  try {
    return simulate({ lane, executors, costs, rowsMax, tokensMax, modelsCount, queueItemsMax, seed, trace });
  } catch (error) {
    throw error instanceof RangeError || error instanceof TypeError ? new CliError(error.message) : error;
  }
}

function readCosts(path: string): CostGrid {
  try {
    return costFileSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).grid;
  } catch (error) {
    throw new CliError(`${path} is not a cost table: ${(error as Error).message}; make one with \`interleave calibrate\``);
  }
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive whole number');
  return value;
}

function figures(report: SimulationReport, tookMs: number): string {
  const ms = (ns: number): string => (ns / 1e6).toFixed(1);
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const { latency, wait } = report;
  return [
    `${report.items} requests in ${(report.simulatedNs / 1e9).toFixed(1)} s, simulated in ${tookMs.toFixed(0)} ms (${Math.round(report.simulatedNs / 1e6 / tookMs)} times real time)`,
    '',
    table(
      ['MS', 'P50', 'P90', 'P99', 'MAX'],
      [
        ['latency', ms(latency.p50Ns), ms(latency.p90Ns), ms(latency.p99Ns), ms(latency.maxNs)],
        ['wait', ms(wait.p50Ns), ms(wait.p90Ns), ms(wait.p99Ns), ms(wait.maxNs)],
      ],
    ),
    '',
    table(
      ['ANSWERED', 'REFUSED', 'EXPIRED', 'LATE', 'IN TIME/S'],
      [[report.answered, report.refused, report.expired, report.late, report.goodput.toFixed(1)].map(String)],
    ),
    '',
    table(
      ['RUNS', 'ROWS/RUN', 'PADDING', 'BUSY', 'COST/LOWER BOUND'],
      [
        [
          String(report.runs),
          report.rowsPerRun.toFixed(2),
          percent(report.paddedShare),
          percent(report.busyShare),
          report.regret.toFixed(3),
        ],
      ],
    ),
  ].join('\n');
}
