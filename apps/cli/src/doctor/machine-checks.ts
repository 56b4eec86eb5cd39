import { spawnSync } from 'node:child_process';
import type { Config } from '@app/config';
import {
  autogroupEnabled,
  findExecutable,
  formatCpuList,
  readCpuQuota,
  readTopology,
  REDIS_REMEDY,
  REDIS_SERVERS,
  type Topology,
} from '@app/system';
import { broken, degraded, ok, type Finding } from './report';

const NODE_MIN = { major: 20, minor: 19 };
const REDIS_MIN = { major: 6, minor: 2 };

export function checkNode(version: string): Finding {
  return atLeast(version, NODE_MIN)
    ? ok('Node.js', version)
    : broken(
        'Node.js',
        `${version} is too old`,
        `install ${NODE_MIN.major}.${NODE_MIN.minor} or newer from https://nodejs.org/en/download`,
      );
}

export function checkCpus(): Finding {
  return judgeCpus(readTopology(), readCpuQuota());
}

/** `quota`: CPUs' worth of time that the cgroup may use; null without a limit. */
export function judgeCpus({ online, effective, places, memoryBytes }: Topology, quota: number | null): Finding {
  const count = (values: number[], word: string): string => `${new Set(values).size} ${word}${new Set(values).size === 1 ? '' : 's'}`;
  const cores = new Set(places.map(({ siblings }) => siblings[0])).size;
  const machine = `${count(
    places.map(({ packageId }) => packageId),
    'package',
  )}, ${count(
    places.map(({ nodeId }) => nodeId),
    'NUMA node',
  )}, ${cores} ${cores === 1 ? 'core' : 'cores'}`;
  const detail = `${effective.length} usable (${formatCpuList(effective)}) of ${online.length} online; ${machine}, ${(memoryBytes / 2 ** 30).toFixed(1)} GiB of memory`;
  return quota === null
    ? ok('CPUs', detail)
    : degraded(
        'CPUs',
        `${detail}; a cgroup quota of ${quota} CPUs throttles live requests for up to 100 ms at a time`,
        'remove the quota (cpu.max, docker --cpus) and give a CPU set instead (docker --cpuset-cpus)',
      );
}

/** Starts a program in the class that batch executors run in. */
export function checkSchedIdle(searchPath: string): Finding {
  const chrt = findExecutable(['chrt'], searchPath);
  if (chrt === null) return degraded('SCHED_IDLE', 'not tried: chrt is missing', 'install util-linux');
  const { status, stderr } = spawnSync(chrt, ['--idle', '0', 'true'], { encoding: 'utf8' });
  return status === 0
    ? ok('SCHED_IDLE', 'permitted: batches give way to live requests')
    : degraded(
        'SCHED_IDLE',
        `refused: ${stderr.trim()}`,
        'allow sched_setscheduler in the sandbox or seccomp profile; until then batches slow live requests',
      );
}

export function checkAutogroup(): Finding {
  return autogroupEnabled() ? ok('autogroup', 'on: priorities hold within a session, and all workers share one') : ok('autogroup', 'off');
}

export function checkRedis({ redisUrl, redisSentinels, searchPath }: Pick<Config, 'redisUrl' | 'redisSentinels' | 'searchPath'>): Finding {
  if (redisSentinels !== null)
    return ok(
      'Redis',
      `${redisSentinels.name} by REDIS_SENTINELS ${redisSentinels.hosts.map(({ host, port }) => `${host}:${port}`).join(', ')}`,
    );
  if (redisUrl !== null) return ok('Redis', `REDIS_URL ${redisUrl.replace(/\/\/[^@/]*@/, '//***@')}`);
  const path = findExecutable(REDIS_SERVERS, searchPath);
  if (path === null)
    return broken('Redis', `neither ${REDIS_SERVERS.join(' nor ')} was found; live requests work, batches wait`, REDIS_REMEDY);
  const output = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout;
  const version = /v=(\d+\.\d+\.\d+)/.exec(output)?.[1] ?? null;
  if (version === null) return degraded('Redis', `${path} does not tell its version`, 'check that it is Redis 6.2 or newer, or Valkey');
  return atLeast(version, REDIS_MIN)
    ? ok('Redis', `${path} ${version}`)
    : broken('Redis', `${path} ${version} is older than 6.2`, REDIS_REMEDY);
}

export function checkFlock(searchPath: string): Finding {
  const path = findExecutable(['flock'], searchPath);
  return path === null ? broken('flock', 'missing', 'sudo apt-get install -y util-linux') : ok('flock', path);
}

export function atLeast(version: string, { major, minor }: { major: number; minor: number }): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
