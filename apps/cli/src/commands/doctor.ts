import type { Command } from 'commander';
import { ConfigError, loadConfig, type Config } from '@app/config';
import { checkAutogroup, checkCpus, checkFlock, checkNode, checkRedis, checkSchedIdle } from '../doctor/machine-checks';
import { checkConfig, checkDataDir, checkModels, checkPort, checkRuntime } from '../doctor/node-checks';
import { checkPreemption } from '../doctor/preemption-check';
import { broken, type Finding, type Verdict } from '../doctor/report';

const MARKS: Record<Verdict, string> = { ok: 'ok      ', degraded: 'degraded', broken: 'BROKEN  ' };

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('checks what a node needs: what was found, what is missing, how to get it; fails when something is broken')
    .action(async () => {
      const findings = await examine();
      for (const finding of findings) console.log(lineOf(finding));
      if (findings.some(({ verdict }) => verdict === 'broken')) process.exitCode = 1;
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
    checkSchedIdle(config.searchPath),
    checkAutogroup(),
    await checkPreemption(config),
    checkFlock(config.searchPath),
    checkRedis(config.redisUrl, config.searchPath),
    checkDataDir(config),
    checkRuntime(config),
    checkModels(config),
    await checkPort(config),
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
