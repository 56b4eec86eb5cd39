import { runPaths, type Config } from '@app/config';
import { commandProcess } from '@app/process';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG } from '../tokens';

const TELL_MS = 1000;
/** As many as the scheduler takes at once. */
const MODELS_MAX = 1024;

/** Tells the scheduler which models are used, where it unloads those that are not. */
@Injectable()
export class ModelUse implements OnModuleDestroy {
  private readonly used = new Map<string, { name: string; version: string }>();
  private readonly timer: NodeJS.Timeout | null;

  constructor(@Inject(CONFIG) private readonly config: Config) {
    this.timer = config.repository.memoryMax === undefined ? null : setInterval(() => this.tell(), TELL_MS).unref();
  }

  onModuleDestroy(): void {
    if (this.timer !== null) clearInterval(this.timer);
  }

  /** Call with each model that a request is prepared for. */
  see(name: string, version: string): void {
    if (this.timer !== null && this.used.size < MODELS_MAX) this.used.set(`${name}\n${version}`, { name, version });
  }

  private tell(): void {
    if (this.used.size === 0) return;
    const models = [...this.used.values()];
    this.used.clear();
    // Without a scheduler nothing is unloaded.
    void commandProcess(runPaths(this.config.runDir).statusSocket('scheduler'), '/models/used', { models }).catch(() => undefined);
  }
}
