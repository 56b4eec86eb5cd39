import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tryKernelLock, type KernelLock } from '@app/system';
import { z } from 'zod';

const FORMAT_VERSION = 1;

const gridSchema = z.object({
  lengths: z.array(z.number().int().positive()).min(1),
  rows: z.array(z.number().int().positive()).min(1),
  runNs: z.array(z.array(z.number().nonnegative())),
});

const costFileSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  /** For people who look at the file. */
  model: z.string(),
  key: z.unknown(),
  measuredAt: z.string(),
  /** False: the measuring goes on, or was interrupted and can go on from here. */
  finished: z.boolean(),
  grid: gridSchema,
});
export type CostFile = Omit<z.infer<typeof costFileSchema>, 'formatVersion'>;

const markerSchema = z.object({ starts: z.number().int().nonnegative(), cell: z.string().nullable() });
/** Exists while a process measures; one that is found later was left by a process that died. */
export type MeasuringMarker = z.infer<typeof markerSchema>;

/** Cost tables in DATA_DIR/calibration, one file for each key; files that cannot be read count as missing. */
export class CostStore {
  private readonly dir: string;

  constructor(dataDir: string) {
    this.dir = join(dataDir, 'calibration');
  }

  read(id: string): CostFile | null {
    return readJson(this.path(id), costFileSchema);
  }

  /** Who holds it may measure; null when another process does. Held until it is closed or this process ends. */
  lock(id: string): Promise<KernelLock | null> {
    return tryKernelLock('calibration', `${this.dir}\n${id}`);
  }

  /** Null when there is no file. */
  modifiedMs(id: string): number | null {
    return statSync(this.path(id), { throwIfNoEntry: false })?.mtimeMs ?? null;
  }

  /** Readers see the old file or the new one. Throws when it cannot be written. */
  write(id: string, file: CostFile): void {
    this.replace(this.path(id), { formatVersion: FORMAT_VERSION, ...file });
  }

  marker(id: string): MeasuringMarker | null {
    return readJson(this.markerPath(id), markerSchema);
  }

  writeMarker(id: string, marker: MeasuringMarker): void {
    this.replace(this.markerPath(id), marker);
  }

  removeMarker(id: string): void {
    rmSync(this.markerPath(id), { force: true });
  }

  private path(id: string): string {
    return join(this.dir, `${id}.json`);
  }

  private markerPath(id: string): string {
    return join(this.dir, `${id}.measuring`);
  }

  private replace(path: string, content: object): void {
    mkdirSync(this.dir, { recursive: true });
    const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      writeFileSync(temporary, `${JSON.stringify(content)}\n`, { mode: 0o600 });
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }
}

function readJson<T extends z.ZodType>(path: string, schema: T): z.infer<T> | null {
  try {
    return schema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data ?? null;
  } catch {
    return null; // missing or damaged: measured again
  }
}
