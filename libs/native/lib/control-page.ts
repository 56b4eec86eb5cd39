import { type LaneLimits, type ControlPageHandle, type ControlPageReading, loadAddon } from './addon';

/** The shared page of one worker, by which it can be limited and seen without asking it. Throws when it cannot be mapped. */
export class ControlPage {
  private readonly handle: ControlPageHandle;

  constructor(path: string) {
    this.handle = loadAddon().controlPageOpen({ path });
  }

  /** A run under way is not interrupted; executors notice within 10 ms. */
  limit(limits: LaneLimits): void {
    loadAddon().controlPageControl(this.handle, limits);
  }

  read(): ControlPageReading {
    return loadAddon().controlPageRead(this.handle);
  }
}
