import { mapInSlices } from './slices';

describe('mapInSlices', () => {
  it('maps in order', async () => {
    expect(await mapInSlices(['a', 'b'], (item, i) => `${item}${i}`)).toEqual(['a0', 'b1']);
    expect(await mapInSlices([], () => 1)).toEqual([]);
  });

  it('gives the event loop turns', async () => {
    const busy = (): void => {
      const end = performance.now() + 10;
      while (performance.now() < end);
    };
    let turns = 0;
    const count = (): void => {
      turns++;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    await mapInSlices([1, 2, 3, 4], busy);
    clearImmediate(next);
    expect(turns).toBeGreaterThanOrEqual(3);
  });

  it('rejects with the first error', async () => {
    await expect(
      mapInSlices([1, 2], (item) => {
        throw new Error(`${item}`);
      }),
    ).rejects.toThrow('1');
  });
});
