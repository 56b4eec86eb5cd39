import { RedisServers } from '../../../test/support/redis-servers';
import { outputOf, submit, untilDone } from '../deterministic-batch';
import { Fleet } from '../fleet';
import { referenceOutput } from './batch-kills';

const BATCH_MS_MAX = 20 * 60_000;

/** P5: the primary is killed in the middle of a batch, and a sentinel makes its replica the primary. */
export async function failover(
  rows: number,
): Promise<{ rows: number; isIdentical: boolean; wrongRows: number; chunks: Record<string, number> }> {
  const servers = new RedisServers({ tls: false });
  try {
    const primary = await servers.server();
    await servers.server({ replicaOf: primary });
    const sentinel = await servers.sentinel(primary);
    const redis = { REDIS_SENTINELS: `127.0.0.1:${sentinel.port}`, REDIS_SENTINEL_NAME: 'mymaster' };
    const fleet = await Fleet.start({ nodes: 2, redis });
    try {
      const reference = await referenceOutput(fleet, rows);
      const id = await submit(fleet.node(0), rows);
      await untilDone(fleet.nodes, id, { share: 0.3, timeoutMs: BATCH_MS_MAX });
      await servers.kill(primary);
      const view = await untilDone(fleet.nodes, id, { share: 1, timeoutMs: BATCH_MS_MAX });
      const output = await outputOf(fleet.node(1), view, rows);
      return { rows, isIdentical: output.sha256 === reference.sha256, wrongRows: output.wrongRows, chunks: await fleet.chunkCounts() };
    } finally {
      await fleet.stop();
    }
  } finally {
    await servers.close();
  }
}
