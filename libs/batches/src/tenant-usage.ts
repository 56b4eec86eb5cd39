import type { FileStore } from './files/file-store';
import type { BatchStore } from './manifests/batch-store';
import { inParallel } from './storage/in-parallel';
import type { UploadStore } from './uploads/upload-store';

/** Records that are read at once. */
const READS_MAX = 32;

export interface UsageParts {
  files: FileStore;
  batches: BatchStore;
  uploads: UploadStore;
}

/**
 * What tenants have in the store. What is read of files and batches never changes, so it is remembered while they are there: a look
 * costs two lists, and a read of each that is new. Memory: some 200 bytes for each file and each open batch.
 */
export class TenantUsage {
  private readonly files = new Kept<{ tenant: string; bytes: number; expiresAt: number | null }>();
  private readonly batches = new Kept<{ tenant: string; rows: number }>();

  constructor(private readonly parts: UsageParts) {}

  /** Of all its files, outputs among them, and of what its pending uploads have announced. */
  async fileBytes(tenant: string): Promise<number> {
    const { files, uploads } = this.parts;
    const nowSeconds = Date.now() / 1000;
    let bytes = await uploads.pendingBytes(tenant);
    for (const file of await this.files.read(await files.listIds(), (id) => files.find(id)))
      if (file.tenant === tenant && (file.expiresAt === null || file.expiresAt > nowSeconds)) bytes += file.bytes;
    return bytes;
  }

  /** Its batches that are not over, and the rows of their input files. */
  async open(tenant: string): Promise<{ batches: number; rows: number }> {
    const { files, batches } = this.parts;
    const open = await this.batches.read(await batches.listOpenIds(), async (id) => {
      const manifest = await batches.read(id);
      if (manifest === null) return null;
      const { input_file_id: fileId } = manifest.batch;
      const file = fileId === null ? null : await files.find(fileId);
      return { tenant: manifest.tenant, rows: file?.rows ?? 0 };
    });
    const own = open.filter((batch) => batch.tenant === tenant);
    return { batches: own.length, rows: own.reduce((rows, batch) => rows + batch.rows, 0) };
  }
}

/** Facts by id, as long as there are such ids. */
class Kept<T extends object> {
  private facts = new Map<string, T>();

  /** Of all `ids`; `read` is asked for those that are new. Null, and what another release wrote, is left out. */
  async read(ids: readonly string[], read: (id: string) => Promise<T | null>): Promise<T[]> {
    const kept = new Map<string, T>();
    await inParallel(ids, READS_MAX, async (id) => {
      const facts = this.facts.get(id) ?? (await read(id).catch(() => null));
      if (facts !== null) kept.set(id, facts);
    });
    this.facts = kept;
    return [...kept.values()];
  }
}
