import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatCpuList, readTopology } from '@app/system';

const CLI = join(__dirname, '..', '..', 'bin', 'interleave.js');
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'plan-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** In an empty folder: no node, no data, no models. */
function plan(yaml: string) {
  const path = join(dir, 'plan.yaml');
  writeFileSync(path, yaml);
  const { PATH, HOME } = process.env;
  return spawnSync(process.execPath, [CLI, 'plan', '--config', path], { cwd: dir, env: { PATH, HOME }, encoding: 'utf8', timeout: 60_000 });
}

describe('interleave plan', () => {
  const { effective } = readTopology();

  it('prints the plan of this machine in plain text, without a node', () => {
    const { status, stdout, stderr } = plan('');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.startsWith(`${effective.length} usable CPUs (${formatCpuList(effective)})`)).toBe(true);
    expect(stdout).toMatch(/^ {2}CPU \S+ .*Ab/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('fails with the reason for a plan that cannot hold', () => {
    const { status, stdout, stderr } = plan('partitions: [{ id: a, cpus: [8191] }]');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^interleave: partition "a": no CPU 8191 here; online are \S+\n$/);
  });

  it('fails with the reason for a setting that is none', () => {
    const { status, stderr } = plan('partitions: [{ id: a, cpus: [0], size: 3 }]');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^interleave: .*plan\.yaml: partitions\.0: .*size.*\n$/);
  });
});
