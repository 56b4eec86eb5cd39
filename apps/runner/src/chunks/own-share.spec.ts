import { newBatchId, newFileId, newManifest } from '@app/batches';
import { OwnShare } from './own-share';

const SECOND_MS = 1_000;

describe('OwnShare', () => {
  let nowMs: number;
  let share: OwnShare;

  /** 10 000 rows, to be done in half an hour. */
  beforeEach(() => {
    nowMs = 0;
    const seconds = Math.floor(Date.now() / 1000);
    const manifest = newManifest({
      batchId: newBatchId(),
      tenant: 'a',
      tenantWeight: 3,
      models: null,
      endpoint: '/v1/embeddings',
      inputFileId: newFileId(),
      outputFileId: newFileId(),
      errorFileId: newFileId(),
      metadata: null,
      isDeterministic: false,
      outputExpiresAfterSeconds: null,
      createdAt: seconds,
      expiresAt: seconds + 1_800,
    });
    manifest.batch.request_counts.total = 10_000;
    share = new OwnShare(manifest, () => nowMs);
  });

  const weight = () => share.of('normal').weight;

  function work(rowsPerSecond: number, seconds: number): void {
    for (let second = 0; second < seconds; second++) {
      nowMs += SECOND_MS;
      share.done({ completed: rowsPerSecond - 1, failed: 1 });
    }
  }

  it('is the priority, beside the weight of the tenant', () => {
    const weights = (['low', 'normal', 'high'] as const).map((priority) => share.of(priority));
    expect(weights.map((one) => [one.tenant, one.tenantWeight, one.weight])).toEqual([
      ['a', 3, 1],
      ['a', 3, 2],
      ['a', 3, 4],
    ]);
  });

  it('stays as it is at a pace that will do, however short it was seen', () => {
    work(10, 1);
    expect(weight()).toBe(2);
    work(10, 200);
    expect(weight()).toBe(2);
  });

  it('grows by what the pace lacks, once that is seen for a while', () => {
    work(2, 10);
    expect(weight()).toBe(2);
    work(2, 60);
    expect(weight() / 2).toBeCloseTo(10_000 / 2 / 1_800, 0);
  });

  it('does not take a pause for a slow pace', () => {
    work(10, 60);
    nowMs += 55 * SECOND_MS;
    expect(weight()).toBeGreaterThan(2);
    share.restart();
    expect(weight()).toBe(2);
  });
});
