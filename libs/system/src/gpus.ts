import { spawnSync } from 'node:child_process';
import { findExecutable } from './executables';

/** A part of a device with memory and processors of its own. */
export interface MigInstance {
  uuid: string;
  /** As in "1g.10gb": slices of the processors and memory. */
  profile: string;
}

export interface GpuDevice {
  index: number;
  uuid: string;
  name: string;
  /** Null where the tool does not tell, for example where the memory is the machine's own. */
  memoryBytes: number | null;
  /** Default, Exclusive_Process or Prohibited. */
  computeMode: string;
  migEnabled: boolean;
  /** In the order of the tool's list; empty unless `migEnabled`. */
  instances: MigInstance[];
}

export interface GpuInventory {
  devices: GpuDevice[];
  driverVersion: string | null;
  /** Why there is no device, and what to do; null when there is one. */
  problem: string | null;
  /** NVIDIA's Multi-Process Service runs, so that processes may share a device without taking turns. */
  mpsRuns: boolean;
}

export interface ProgramRun {
  /** Null: it was ended by a signal or took too long. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/** What NVIDIA's programs say; null: not installed, or not asked. */
export interface GpuFacts {
  /** `nvidia-smi --query-gpu=<GPU_FIELDS> --format=csv,noheader,nounits` */
  query: ProgramRun | null;
  /** `nvidia-smi -L` */
  list: ProgramRun | null;
  /** `nvidia-cuda-mps-control` with the command `get_server_list` as its input. */
  mpsControl: ProgramRun | null;
}

/** Columns of the query. Without units, memory is in MiB. */
const GPU_FIELDS = ['index', 'uuid', 'name', 'memory.total', 'compute_mode', 'mig.mode.current', 'driver_version'] as const;
const NO_TOOL = 'nvidia-smi was not found, so this machine has no NVIDIA GPU or no driver for it; install the driver';
/** Without persistence mode the driver is initialised by each call, which takes seconds. */
const TIMEOUT_MS = 10_000;
const MIB = 1024 * 1024;

/** Asks this machine's tools; blocks for as long as they take. `searchPath` has the form of PATH. */
export function readGpus(searchPath: string): GpuInventory {
  return gpuInventoryOf(readFacts(searchPath));
}

/** Pure. Never throws: an answer without one device is a `problem`; lines beside those of devices, as of one that fell off the bus, are passed over. */
export function gpuInventoryOf({ query, list, mpsControl }: GpuFacts): GpuInventory {
  const none = (problem: string): GpuInventory => ({ devices: [], driverVersion: null, problem, mpsRuns: false });
  if (query === null) return none(NO_TOOL);
  if (!hasAnswered(query)) return none(failureOf(query));
  const rows = query.stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split(',').map((field) => field.trim()));
  const known = rows.filter((row) => row.length === GPU_FIELDS.length && /^\d+$/.test(row[0] ?? ''));
  const [odd] = rows;
  if (known.length === 0 && odd !== undefined)
    return none(
      `nvidia-smi was not understood: expected ${GPU_FIELDS.join(', ')} but received ${JSON.stringify(odd.join(', '))}; is the driver newer than this version of Interleave?`,
    );
  if (known.length === 0) return none('nvidia-smi lists no device; look with lspci and dmesg');
  const instances = instancesByDevice(list?.stdout ?? '');
  return {
    devices: known.map((row) => deviceOf(row, instances)),
    driverVersion: known[0]?.[6] ?? null,
    problem: null,
    mpsRuns: mpsControl?.status === 0,
  };
}

/** 14 is a warning beside the answer: a corrupted infoROM (nvidia-smi's manual, RETURN VALUE), and the device works. */
const hasAnswered = ({ status }: ProgramRun): boolean => status === 0 || status === 14;

function deviceOf(
  [index = '', uuid = '', name = '', memoryMib = '', computeMode = '', migMode = '']: string[],
  instances: Map<string, MigInstance[]>,
): GpuDevice {
  const migEnabled = migMode === 'Enabled';
  return {
    index: Number(index),
    uuid,
    name,
    computeMode,
    migEnabled,
    memoryBytes: /^\d+$/.test(memoryMib) ? Number(memoryMib) * MIB : null,
    instances: migEnabled ? (instances.get(uuid) ?? []) : [],
  };
}

/** By the device's UUID: the lines below `GPU 7: … (UUID: GPU-…)` that say `MIG 1g.10gb Device 0: (UUID: MIG-…)`. */
function instancesByDevice(list: string): Map<string, MigInstance[]> {
  const found = new Map<string, MigInstance[]>();
  let own: MigInstance[] = [];
  for (const line of list.split('\n')) {
    const device = /^\s*GPU \d+: .*\(UUID: (\S+)\)/.exec(line)?.[1];
    if (device !== undefined) found.set(device, (own = []));
    const [, profile, uuid] = /^\s*MIG (\S+)\s+Device\s+\d+: \(UUID: (\S+)\)/.exec(line) ?? [];
    if (profile !== undefined && uuid !== undefined) own.push({ profile, uuid });
  }
  return found;
}

function failureOf({ status, stdout, stderr }: ProgramRun): string {
  const output = `${stdout}\n${stderr}`
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .join(' ');
  return `nvidia-smi failed (${status === null ? `no answer in ${TIMEOUT_MS / 1000} s` : `exit code ${status}`}): ${output || 'no output'}; repair the driver`;
}

function readFacts(searchPath: string): GpuFacts {
  const ask = (names: string[], args: string[], input = ''): ProgramRun | null => {
    const path = findExecutable(names, searchPath);
    return path === null ? null : spawnSync(path, args, { encoding: 'utf8', input, timeout: TIMEOUT_MS });
  };
  const query = ask(['nvidia-smi'], [`--query-gpu=${GPU_FIELDS.join(',')}`, '--format=csv,noheader,nounits']);
  if (query === null || !hasAnswered(query)) return { query, list: null, mpsControl: null };
  return { query, list: ask(['nvidia-smi'], ['-L']), mpsControl: ask(['nvidia-cuda-mps-control'], [], 'get_server_list\n') };
}
