import { type LaneLimits, type LanePageHandle, type LanePageReading, loadAddon } from './addon';

/** The shared page of one worker, by which it can be limited and seen without asking it. Throws when it cannot be mapped. */
export class LanePage {
  private readonly handle: LanePageHandle;

  constructor(path: string) {
    this.handle = loadAddon().lanePageOpen({ path });
  }

  /** A run under way is not interrupted; executors notice within 10 ms. */
  limit(limits: LaneLimits): void {
    loadAddon().lanePageControl(this.handle, limits);
  }

  read(): LanePageReading {
    return loadAddon().lanePageRead(this.handle);
  }
}
