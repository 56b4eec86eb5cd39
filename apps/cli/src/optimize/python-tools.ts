import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { childEnvironment } from '@app/config';
import { tryKernelLock } from '@app/system';
import { CliError } from '../cli-error';

const REQUIREMENTS = join(__dirname, 'python', 'requirements.txt');
const SCRIPT = join(__dirname, 'python', 'variants.py');
/** Written last: a folder without it was never finished. */
const COMPLETE = '.complete';
const LOCK_POLL_MS = 500;
/** Of what a tool says, the end is kept. */
const OUTPUT_CHARACTERS_MAX = 64 * 1024;
const NEEDS_PYTHON =
  'the official tools are Python programs: optimize needs python3 (3.11 or newer) with venv and pip, as in apt-get install python3-venv';

export const VARIANT_KINDS = ['graph', 'transformers', 'fp16', 'int8-dynamic', 'int8-static'] as const;
export type VariantKind = (typeof VARIANT_KINDS)[number];

export interface VariantRequest {
  kind: VariantKind;
  /** Paths of graphs. */
  input: string;
  output: string;
  isText: boolean;
  /** Of `config.json`, for the optimizer of transformers. */
  modelType: string | null;
  heads: number;
  width: number;
  /** Path of the rows for `int8-static`, without its endings. */
  calibration: string | null;
  calibrationRows: number;
}

/** What a tool made, in words; or why it made nothing. */
export type VariantOutcome = { note: string } | { refused: string };

/**
 * The virtual environment of the official tools in `dataDir`, made on first use: some 300 MB, exact versions. Returns the path of
 * its Python. Throws a `CliError` that says what is missing.
 */
export async function pythonTools(dataDir: string, say: (line: string) => void): Promise<string> {
  const id = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12);
  const folder = join(dataDir, 'optimize-tools', id);
  const python = join(folder, 'bin', 'python');
  const isComplete = (): boolean => existsSync(join(folder, COMPLETE));
  for (;;) {
    if (isComplete()) return python;
    const lock = await tryKernelLock('optimize-tools', folder);
    if (lock === null) {
      await sleep(LOCK_POLL_MS);
      continue;
    }
    try {
      if (!isComplete()) await install(folder, python, say);
    } finally {
      lock.close();
    }
  }
}

async function install(folder: string, python: string, say: (line: string) => void): Promise<void> {
  say(`installing onnxruntime, onnx and what they need into ${folder}: some 300 MB, once`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const made = await output('python3', ['-m', 'venv', folder]).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(error.code === 'ENOENT' ? `there is no python3; ${NEEDS_PYTHON}` : error.message);
  });
  if (made.code !== 0) throw new CliError(`python3 -m venv failed: ${lastLine(made)}; ${NEEDS_PYTHON}`);
  const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--no-input'];
  const installed = await output(python, ['-m', 'pip', 'install', ...options, '-r', REQUIREMENTS]);
  if (installed.code !== 0)
    throw new CliError(
      `pip failed: ${lastLine(installed)}; it needs PyPI or a mirror of it (PIP_INDEX_URL), or a folder of wheels (PIP_NO_INDEX=1 PIP_FIND_LINKS=<folder>), and Python 3.11 or newer`,
    );
  writeFileSync(join(folder, COMPLETE), '');
}

/** Runs a tool in a process of its own, which may fail or die alone. */
export async function makeVariant(python: string, request: VariantRequest): Promise<VariantOutcome> {
  const ended = await output(python, ['-I', SCRIPT, JSON.stringify(request)], childEnvironment({ settings: false, secrets: false }, {}));
  if (ended.code !== 0) return { refused: `the tool failed: ${lastLine(ended)}` };
  return JSON.parse(ended.out.trimEnd().split('\n').at(-1) ?? '') as VariantOutcome;
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  errors: string;
}

/** `env`: by default this process's own, with the caller's proxies and settings of pip. */
function output(program: string, args: string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const ended = { out: '', errors: '' };
    child.stdout.setEncoding('utf8').on('data', (part: string) => (ended.out = (ended.out + part).slice(-OUTPUT_CHARACTERS_MAX)));
    child.stderr.setEncoding('utf8').on('data', (part: string) => (ended.errors = (ended.errors + part).slice(-OUTPUT_CHARACTERS_MAX)));
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...ended }));
  });
}

const lastLine = ({ out, errors, signal }: Ended): string =>
  errors.trim().split('\n').at(-1) || out.trim().split('\n').at(-1) || (signal === null ? 'without a reason' : `ended by ${signal}`);
