import { readTable } from './read-table';
import { BadTable, type TableTask, type TableVerdict } from './table-task';
import { writeTable } from './write-table';

/**
 * `child.js`, which is sent a task: reads or writes one table, in a process of its own because a file may be made to crash or to fill
 * whatever reads it. Ends with its parent.
 */
async function main(task: TableTask): Promise<void> {
  const verdict = await judge(task);
  if ('columns' in verdict) process.stdout.end(() => process.send?.(verdict, () => process.disconnect()));
  // A thread may wait for ever to open a pipe that nobody opens now, and an orderly end would wait for the thread.
  else process.send?.(verdict, () => process.kill(process.pid, 'SIGKILL'));
}

async function judge(task: TableTask): Promise<TableVerdict> {
  try {
    if (task.kind === 'read') return { columns: await readTable(task) };
    await writeTable(task);
    return { columns: [] };
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof BadTable) return { fault: { code: error.code, message, line: error.line } };
    return { trouble: message };
  }
}

// A named pipe that nobody opens would keep it alive.
process.on('disconnect', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));
process.once('message', (task) => void main(task as TableTask));
