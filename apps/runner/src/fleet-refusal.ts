import type { Config } from '@app/config';
import { FleetList, mayTakeBatchWork } from '@app/fleet';
import { openRedis, redisAddress } from '@app/queues';
import type { Logger } from '@app/telemetry';

/** Tells why this node may not take batch work beside the other nodes that share its Redis. */
export class FleetRefusal {
  private constructor(
    private readonly list: FleetList | null,
    private readonly disconnect: () => void,
  ) {}

  static open(config: Config, log: Logger): FleetRefusal {
    if (config.redisUrl === null) return new FleetRefusal(null, () => undefined);
    const redis = openRedis({ address: redisAddress(config), onError: (error) => log.debug({ err: error }, 'Redis') });
    return new FleetRefusal(new FleetList(redis, config.fleetName), () => redis.disconnect());
  }

  /** Null: it may, as far as is known. */
  async read(): Promise<string | null> {
    return this.list === null ? null : mayTakeBatchWork((await this.list.current()).nodes);
  }

  close(): void {
    this.list?.close();
    this.disconnect();
  }
}
