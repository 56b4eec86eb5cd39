import type { Config } from '@app/config';
import type { FleetView, NodeHeartbeat } from '@app/contracts';
import { bootId, type FleetConnection, FleetMember, mayTakeBatchWork } from '@app/fleet';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, FLEET, LOGGER } from '../tokens';
import { NodeDescription } from './node-description';

/** What a node has that shares a Redis. */
interface Shared {
  connection: FleetConnection;
  member: FleetMember;
}

/** The nodes that share a Redis, this one among them. A node with a private Redis is alone and opens nothing. */
@Injectable()
export class Fleet {
  private readonly shared: Shared | null;
  private readonly bootId: string;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly description: NodeDescription,
    @Inject(FLEET) connection: FleetConnection | null,
  ) {
    this.bootId = bootId(config.dataDir);
    this.shared = connection === null ? null : this.share(connection);
  }

  get isShared(): boolean {
    return this.shared !== null;
  }

  /** Call when this process answers callers: from now on it is the one that says that the node lives. */
  start(): void {
    this.shared?.member.start();
  }

  /** Says that this node ends; does not wait for Redis longer than seconds. */
  async drain(): Promise<void> {
    await this.shared?.member.drain();
  }

  /** After the last answer. */
  async leave(): Promise<void> {
    if (this.shared === null) return;
    const { connection, member } = this.shared;
    await member.leave();
    connection.close();
  }

  /** All nodes; this one as it is now, and first. While Redis is away, the others as they were. */
  async view(): Promise<FleetView> {
    const self = await this.self();
    const { fleetName: fleet } = this.config;
    if (this.shared === null) return { fleet, self: self.id, ageMs: 0, problem: null, nodes: [self], lost: [], unreadable: 0 };
    const { nodes, lost, unreadable, readMs, problem } = await this.shared.connection.list.current();
    return {
      fleet,
      self: self.id,
      ageMs: readMs === null ? null : performance.now() - readMs,
      problem,
      nodes: [self, ...nodes.filter((node) => node.id !== self.id && !isSameNode(node, self))],
      lost: lost.filter(({ id }) => id !== self.id),
      unreadable,
    };
  }

  private async self(): Promise<NodeHeartbeat> {
    const { id = this.config.nodeId, warnings = [] } = this.shared?.member.self ?? {};
    return { ...(await this.description.now()), id, bootId: this.bootId, warnings };
  }

  private share(connection: FleetConnection): Shared {
    const { config, log } = this;
    const { redis, list } = connection;
    const describe = async (): Promise<Omit<NodeHeartbeat, 'id' | 'bootId'>> => ({
      ...(await this.description.now()),
      warnings: [mayTakeBatchWork(list.latest.nodes)].filter((warning) => warning !== null),
    });
    const member = new FleetMember({ redis, fleet: config.fleetName, id: config.nodeId, bootId: this.bootId, log, describe });
    return { connection, member };
  }
}

/** Under the id that it had before. */
const isSameNode = (node: NodeHeartbeat, self: NodeHeartbeat): boolean => node.bootId === self.bootId;
