import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { memoryMiB, treeOf } from './process-tree';

describe('treeOf', () => {
  it('finds children of children', async () => {
    const shell = spawn('sh', ['-c', 'sh -c "sleep 60 & echo \\$!; wait" & wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(shell.stdout, 'data')) as [Buffer];
    const sleep = Number(line);
    const tree = treeOf(shell.pid ?? 0);
    tree.forEach((pid) => process.kill(pid, 'SIGKILL'));
    expect(tree).toHaveLength(3);
    expect(tree).toContain(sleep);
  });

  it('counts memory of processes that live, and nothing for one that has ended', () => {
    expect(memoryMiB([process.pid])).toBeGreaterThan(1);
    expect(memoryMiB([2 ** 22 + 1])).toBe(0);
  });
});
