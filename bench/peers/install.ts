import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from './peer';

/** A virtual environment with the peer's packages; one that has them already is left as it is. */
export function install({ name, packages }: Peer, folder: string): void {
  mkdirSync(folder, { recursive: true });
  if (packages.length === 0) return;
  const stamp = join(folder, '.packages');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === packages.join('\n')) return;
  console.log(`installing ${name}: ${packages.join(' ')}`);
  run('python3', ['-m', 'venv', folder]);
  run(join(folder, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages]);
  writeFileSync(stamp, packages.join('\n'));
}

/** The model that all of them run. */
export function buildModel(model: string, outDir: string): string {
  const dir = join(outDir, model);
  if (!existsSync(join(dir, 'model.onnx')))
    run(process.execPath, [join('dist', 'tools', 'model-builder', 'src', 'main.js'), '--out', outDir, '--models', model]);
  return dir;
}

function run(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `ended with ${status}`}`);
}
