import type { Command } from 'commander';
import { ConfigError, loadConfig, type Config } from '@app/config';
import { checkAutogroup, checkCpus, checkFlock, checkNode, checkRedis, checkSchedIdle } from '../doctor/machine-checks';
import { checkGpu } from '../doctor/gpu-check';
import { checkCgroup, checkKernel, checkOpenFiles } from '../doctor/kernel-checks';
import {
  checkAddon,
  checkConfig,
  checkDataDir,
  checkGrpcPort,
  checkModels,
  checkPort,
  checkRuntime,
  checkTokenizers,
} from '../doctor/node-checks';
import { checkPreemption } from '../doctor/preemption-check';
import { broken, worstOf, type Finding, type Verdict } from '../doctor/report';
import { checkTls } from '../doctor/tls-check';
import { checkRunning } from '../doctor/running-checks';

const MARKS: Record<Verdict, string> = { ok: 'ok      ', degraded: 'degraded', broken: 'BROKEN  ' };

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('checks what a node needs: what was found, what is missing, how to get it; fails when something is broken')
    .option('--json', 'as JSON: the worst verdict, and each finding')
    .action(async ({ json = false }: { json?: boolean }) => {
      const findings = await examine();
      const verdict = worstOf(findings);
      console.log(json ? JSON.stringify({ verdict, findings }, null, 2) : findings.map(lineOf).join('\n'));
      if (verdict === 'broken') process.exitCode = 1;
    });
}

async function examine(): Promise<Finding[]> {
  const config = tryConfig();
  const node = checkNode(process.versions.node);
  if ('verdict' in config) return [node, config];
  return [
    node,
    checkConfig(config),
    checkCpus(),
    checkKernel(),
    checkSchedIdle(config.searchPath),
    checkAutogroup(),
    await checkPreemption(config),
    checkCgroup(config.partitions.some(({ memory }) => memory !== undefined)),
    checkOpenFiles(),
    checkFlock(config.searchPath),
    checkRedis(config),
    checkDataDir(config),
    checkAddon(),
    checkRuntime(config),
    checkGpu(config),
    checkModels(config),
    await checkTokenizers(config),
    await checkPort(config),
    ...(await checkTls(config.tls)),
    await checkGrpcPort(config),
    ...(await checkRunning(config)),
  ];
}

function tryConfig(): Config | Finding {
  try {
    return loadConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return broken('configuration', error.message, 'correct it; docs/operating.md lists all settings');
  }
}

function lineOf({ subject, verdict, detail, remedy }: Finding): string {
  return `${MARKS[verdict]}  ${subject.padEnd(14)} ${detail}${remedy === null ? '' : `\n${' '.repeat(25)}remedy: ${remedy}`}`;
}
