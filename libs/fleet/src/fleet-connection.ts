import type { Config } from '@app/config';
import type { NodeHeartbeat } from '@app/contracts';
import { openRedis, redisAddress, type Redis } from '@app/queues';
import type { Logger } from '@app/telemetry';
import { bootId } from './boot-id';
import { FleetList } from './fleet-list';
import { FleetModels } from './steps/fleet-models';
import { FleetNodes } from './steps/fleet-nodes';

/** The Redis that the nodes share, and who is there. Close it when done. */
export class FleetConnection {
  private constructor(
    readonly redis: Redis,
    readonly list: FleetList,
  ) {}

  /** Null: this node shares none, and is in no fleet. */
  static open(config: Config, log: Logger): FleetConnection | null {
    if (config.redisUrl === null) return null;
    const redis = openRedis({ address: redisAddress(config), onError: (error) => log.debug({ err: error }, 'Redis') });
    return new FleetConnection(redis, new FleetList(redis, config.fleetName));
  }

  close(): void {
    this.list.close();
    this.redis.disconnect();
  }
}

/** The models of the other nodes of the fleet, and the way to them. */
export function openFleetModels(config: Config, fleet: FleetConnection | null): FleetModels {
  const own = bootId(config.dataDir);
  const others = (): NodeHeartbeat[] | null => fleet?.list.latest.nodes.filter((node) => node.bootId !== own) ?? null;
  const nodes = new FleetNodes(others, {
    keyFile: config.fleetKeyFile,
    caFile: config.fleetCaFile,
    certFile: config.tls?.certFile ?? null,
    certKeyFile: config.tls?.keyFile ?? null,
    answerBytesMax: config.http.bodyBytesMax,
  });
  return new FleetModels(nodes);
}
