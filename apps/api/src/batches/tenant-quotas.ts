import type { Config, TenantQuota } from '@app/config';
import type { TenantUsage } from '@app/batches';
import { byteText, InterleaveError } from '@app/contracts';

const RETRY_AFTER_SECONDS = 10;

/**
 * Holds tenants to what they may have in the batch lane (`access.tenants`). What one tenant does through this process is looked at in
 * turn, so that two uploads at once cannot both take the last room; other nodes of a fleet may each let one through beside it.
 */
export class TenantQuotas {
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(
    private readonly tenants: Config['access']['tenants'],
    private readonly usage: Pick<TenantUsage, 'fileBytes' | 'open'>,
  ) {}

  /** Rejects with `too_large` for a file that would never fit, and with `overloaded` for one that does not fit now. */
  async checkFile(tenant: string, bytes: number): Promise<void> {
    const bytesMax = this.quotaOf(tenant).fileBytes;
    if (bytesMax === undefined) return;
    check(tenant, 'fileBytes', { max: bytesMax, more: bytes, used: await this.usage.fileBytes(tenant) });
  }

  /** Does the `work` that makes a file of so many bytes, or rejects as `checkFile`. */
  storeFile<T>(tenant: string, bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.quotaOf(tenant).fileBytes === undefined) return work();
    return this.inTurn(tenant, async () => {
      await this.checkFile(tenant, bytes);
      return work();
    });
  }

  /** Does the `work` that makes a batch of so many rows. Rejects as `checkFile`. */
  createBatch<T>(tenant: string, rows: number, work: () => Promise<T>): Promise<T> {
    const { openBatches, rows: rowsMax } = this.quotaOf(tenant);
    if (openBatches === undefined && rowsMax === undefined) return work();
    return this.inTurn(tenant, async () => {
      const used = await this.usage.open(tenant);
      if (openBatches !== undefined) check(tenant, 'openBatches', { max: openBatches, more: 1, used: used.batches });
      if (rowsMax !== undefined) check(tenant, 'rows', { max: rowsMax, more: rows, used: used.rows });
      return work();
    });
  }

  private quotaOf(tenant: string): TenantQuota {
    return Object.hasOwn(this.tenants, tenant) ? (this.tenants[tenant]?.quota ?? {}) : {};
  }

  private async inTurn<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.turns.get(tenant) ?? Promise.resolve()).then(work, work);
    this.turns.set(tenant, turn);
    try {
      return await turn;
    } finally {
      if (this.turns.get(tenant) === turn) this.turns.delete(tenant);
    }
  }
}

const WORDS: Record<keyof TenantQuota, { amount: (count: number, rounding?: 'up' | 'down') => string; remedy: string }> = {
  fileBytes: { amount: (bytes, rounding) => `${byteText(bytes, rounding)} of files`, remedy: 'delete files that are no longer needed' },
  openBatches: { amount: (count) => `${count} open batches`, remedy: 'wait until one is over' },
  rows: { amount: (count) => `${count} rows in open batches`, remedy: 'wait until a batch is over' },
};

function check(tenant: string, key: keyof TenantQuota, { max, more, used }: { max: number; more: number; used: number }): void {
  if (used + more <= max) return;
  const { amount, remedy } = WORDS[key];
  const where = `access.tenants.${tenant}.quota.${key}`;
  if (more > max)
    throw new InterleaveError(
      'too_large',
      `Tenant ${tenant} may have ${amount(max, 'down')} (${where}) but this needs ${amount(more, 'up')}; split it`,
    );
  throw new InterleaveError(
    'overloaded',
    `Tenant ${tenant} may have ${amount(max, 'down')} (${where}) and has ${amount(used)}, and this needs ${amount(more, 'up')} more; ${remedy}`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS },
  );
}
