import { setTimeout as sleep } from 'node:timers/promises';
import { BenchNode, type NodeFolders, type NodeSpec } from './bench-node';

/** For what a node does after its start, as the longer look of its SLO controllers. */
const SETTLE_MS = 3000;

/**
 * Runs one node at a time: idle ones would take 1 to 2 % of the same CPUs, and the caches. The first node that starts measures
 * what runs cost, the others take over its figures.
 */
export class NodesInTurn {
  private current: BenchNode | null = null;
  private costsFrom: BenchNode | null = null;

  constructor(
    private readonly folders: Omit<NodeFolders, 'costsFrom'>,
    private readonly systemCpu: number,
  ) {}

  /** Ready and settled; the one before has ended. */
  async use(spec: NodeSpec): Promise<BenchNode> {
    if (this.current?.spec.name === spec.name) return this.current;
    await this.stop();
    const costsFrom = this.costsFrom?.spec.name === spec.name ? null : this.costsFrom;
    const node = await BenchNode.start(spec, { ...this.folders, costsFrom }, this.systemCpu);
    this.current = node;
    this.costsFrom ??= node;
    await sleep(SETTLE_MS);
    return node;
  }

  async stop(): Promise<void> {
    await this.current?.stop();
    this.current = null;
  }
}
