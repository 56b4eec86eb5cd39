import type { InferenceItem, ItemResult, Tensor } from '@app/contracts';
import fc from 'fast-check';
import { itemKey, type Owner } from './item-key';
import { ResponseCache } from './response-cache';

const tensor = (bytes: number[] | number, name = 'y'): Tensor => {
  const data = typeof bytes === 'number' ? new Uint8Array(bytes) : Uint8Array.from(bytes);
  return { name, datatype: 'UINT8', shape: [data.length], data };
};
const result = (...outputs: Tensor[]): ItemResult => ({ outputs, timing: { queueUs: 1, runUs: 2, runRows: 3, startedNs: 0 } });
const FRESH = { ttlSeconds: 10, evenStale: false };
const MiB = 1024 * 1024;

describe('ResponseCache', () => {
  it('gives back the same bytes in memory of its own', () => {
    const cache = new ResponseCache(MiB);
    const shared = new Uint8Array([9, 1, 2, 3, 4, 9]);
    const answer = result({ name: 'y', datatype: 'FP32', shape: [1], data: shared.subarray(1, 5) });
    cache.set('m', 'k', answer, { bytesMax: MiB });
    shared.fill(0);
    const first = cache.get('m', 'k', FRESH)?.result;
    expect(first).toEqual({
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: Uint8Array.of(1, 2, 3, 4) }],
      timing: { queueUs: 0, runUs: 0, runRows: 0, startedNs: 0 },
    });
    expect((first?.outputs[0]?.data.byteOffset ?? 1) % 8).toBe(0);
    first?.outputs[0]?.data.fill(7);
    expect(cache.get('m', 'k', FRESH)?.result.outputs[0]?.data).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  it('forgets at its time, except for those who take it all the same', () => {
    let nowMs = 0;
    const cache = new ResponseCache(MiB, () => nowMs);
    cache.set('m', 'k', result(tensor(4)), { bytesMax: MiB });
    nowMs = 9999;
    expect(cache.get('m', 'k', FRESH)?.ageMs).toBe(9999);
    nowMs = 10_000;
    expect(cache.get('m', 'k', FRESH)).toBeNull();
    expect(cache.get('m', 'k', { ...FRESH, evenStale: true })?.ageMs).toBe(10_000);
    cache.set('m', 'k', result(tensor(4)), { bytesMax: MiB });
    expect(cache.get('m', 'k', FRESH)?.ageMs).toBe(0);
  });

  it('keeps models apart, and forgets one', () => {
    const cache = new ResponseCache(MiB);
    cache.set('m\n1', 'k', result(tensor([1])), { bytesMax: MiB });
    cache.set('m\n2', 'k', result(tensor([2])), { bytesMax: MiB });
    cache.keepOnly((model) => model === 'm\n2');
    expect(cache.get('m\n1', 'k', FRESH)).toBeNull();
    expect(cache.get('m\n2', 'k', FRESH)?.result.outputs[0]?.data).toEqual(Uint8Array.of(2));
  });

  it('holds its bounds, of each model and of all, whatever comes', () => {
    const operation = fc.record({
      model: fc.integer({ min: 0, max: 3 }),
      key: fc.integer({ min: 0, max: 40 }),
      bytes: fc.integer({ min: 0, max: 9000 }),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const cache = new ResponseCache(20_000);
        const alone = new ResponseCache(MiB);
        for (const { model, key, bytes } of operations) {
          cache.set(`m${model}`, `k${key}`, result(tensor(bytes)), { bytesMax: 8000 });
          if (model === 0) alone.set('m0', `k${key}`, result(tensor(bytes)), { bytesMax: 8000 });
          expect(cache.bytes).toBeLessThanOrEqual(20_000);
          expect(alone.bytes).toBeLessThanOrEqual(8000);
          const data = cache.get(`m${model}`, `k${key}`, FRESH)?.result.outputs[0]?.data;
          if (data !== undefined && bytes < 7000) expect(data.length).toBe(bytes);
        }
      }),
    );
  });
});

describe('itemKey', () => {
  const owner: Owner = { tenant: 't', model: 'm', version: '1', revision: 1, runAlone: false };
  const item = (over: Partial<InferenceItem> = {}): InferenceItem => ({
    inputs: [tensor([1, 2], 'a'), tensor([3], 'b')],
    outputs: ['y', 'z'],
    ...over,
  });
  const base = itemKey(owner, item(), ['y', 'z']);

  it('is the same for the same item, in whatever order its inputs come', () => {
    expect(itemKey(owner, item({ inputs: [tensor([3], 'b'), tensor([1, 2], 'a')] }), [])).toBe(base);
    expect(itemKey(owner, item({ outputs: null }), ['y', 'z'])).toBe(base);
  });

  it.each<[string, Owner, InferenceItem]>([
    ['tenant', { ...owner, tenant: 'u' }, item()],
    ['model', { ...owner, model: 'n' }, item()],
    ['version', { ...owner, version: '2' }, item()],
    ['revision', { ...owner, revision: 2 }, item()],
    ['tenant and model with a border elsewhere', { ...owner, tenant: 'tm', model: '' }, item()],
    ['way to run', { ...owner, runAlone: true }, item()],
    ['outputs', owner, item({ outputs: ['y'] })],
    ['outputs in another order', owner, item({ outputs: ['z', 'y'] })],
    ['bytes', owner, item({ inputs: [tensor([1, 3], 'a'), tensor([3], 'b')] })],
    ['bytes with a border elsewhere', owner, item({ inputs: [tensor([1], 'a'), tensor([2, 3], 'b')] })],
    ['names', owner, item({ inputs: [tensor([1, 2], 'b'), tensor([3], 'a')] })],
    ['shape', owner, item({ inputs: [{ ...tensor([1, 2], 'a'), shape: [1, 2] }, tensor([3], 'b')] })],
    ['datatype', owner, item({ inputs: [{ ...tensor([1, 2], 'a'), datatype: 'INT8' }, tensor([3], 'b')] })],
  ])('differs by %s', (_name, other, changed) => {
    expect(itemKey(other, changed, ['y', 'z'])).not.toBe(base);
  });
});
