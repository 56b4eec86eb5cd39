import { CHUNK_RETRY_MS_MAX, chunkRetryDelayMs, PatientConsumer, webhookRetryDelayMs } from './bull';

describe('chunkRetryDelayMs', () => {
  it('doubles from one second to its cap', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 2000].map(chunkRetryDelayMs)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(CHUNK_RETRY_MS_MAX).toBe(30_000);
  });
});

describe('webhookRetryDelayMs', () => {
  it('doubles from five seconds to an hour', () => {
    expect([1, 2, 3, 10, 11, 2000].map(webhookRetryDelayMs)).toEqual([5000, 10_000, 20_000, 2_560_000, 3_600_000, 3_600_000]);
  });
});

describe('PatientConsumer', () => {
  it('takes the connection of the producers only', () => {
    expect(() => new PatientConsumer('queue', null, { connection: { path: '/nowhere' } })).toThrow(
      'expected the connection of the producers',
    );
  });
});
