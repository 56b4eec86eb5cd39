import { fork, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Queue, QueueEvents } from 'bullmq';
import { freePort } from '../../../../test/support/stack';
import { SETTINGS } from '../environment';
import { serveJson } from '../json-server';

/** What is built at home: an HTTP server that puts each request into a queue of BullMQ, a Redis, and workers with onnxruntime-node. */
async function main(): Promise<void> {
  const port = await freePort();
  const redis = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
    stdio: 'ignore',
  });
  const connection = { host: '127.0.0.1', port };
  const workers = Array.from({ length: SETTINGS.workers }, () => fork(join(__dirname, 'worker.js'), [String(port)]));
  process.once('SIGTERM', () => {
    for (const child of [redis, ...workers]) child.kill();
    process.exit();
  });
  const queue = new Queue<{ ids: number[] }, number[]>('embed', {
    connection,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  const events = new QueueEvents('embed', { connection });
  queue.on('error', () => undefined);
  events.on('error', () => undefined);
  await events.waitUntilReady();
  serveJson(async (ids) => {
    const job = await queue.add('embed', { ids });
    try {
      return await job.waitUntilFinished(events, SETTINGS.timeoutMs);
    } catch (error) {
      // Nobody waits for it any more; one that runs cannot be removed.
      await job.remove().catch(() => undefined);
      throw error;
    }
  });
}

void main();
