import type { BatchSummary, BatchSummaryPage } from '@app/contracts';
import { askingOlder, batchesOf, firstShown, withFirst, withOlder } from './shown-batches';

const page = (ids: string, next: string | null, newest = ids[0] ?? null): BatchSummaryPage => ({
  batches: [...ids].map((id) => ({ id }) as BatchSummary),
  newest,
  next,
});
const idsOf = (shown: Parameters<typeof batchesOf>[0]): string =>
  batchesOf(shown)
    .map(({ id }) => id)
    .join('');

/** Newest first: z to a, two a page. */
describe('the batches that are shown', () => {
  const two = withOlder(askingOlder(firstShown(page('fe', 'e'))), 'e', page('dc', 'c'));

  it('are one page, and as many older ones as were asked for', () => {
    expect([idsOf(firstShown(page('fe', 'e'))), idsOf(two), two.next]).toEqual(['fe', 'fedc', 'c']);
    const all = withOlder(two, 'c', page('ba', null));
    expect([idsOf(all), all.next]).toEqual(['fedcba', null]);
  });

  it('keep what falls off the first page, and where the next page begins', () => {
    const later = withFirst(two, page('gf', 'f'));
    expect([idsOf(later), later.next]).toEqual(['gfedc', 'c']);
    expect(idsOf(withFirst(later, page('hg', 'g')))).toBe('hgfedc');
  });

  it('lose none that falls off while an older page is on its way', () => {
    const later = withFirst(askingOlder(firstShown(page('fe', 'e'))), page('gf', 'f'));
    expect(idsOf(withOlder(later, 'e', page('dc', 'c')))).toBe('gfedc');
  });

  it('lose what is gone from the first page', () => {
    expect(idsOf(withFirst(two, page('fd', 'd')))).toBe('fdc');
    expect(idsOf(withFirst(two, page('f', null)))).toBe('f');
  });

  it('are the first page anew where so many came that some were never read', () => {
    const later = withFirst(two, page('zy', 'y'));
    expect([idsOf(later), later.next]).toEqual(['zy', 'y']);
    expect(withOlder(later, 'c', page('ba', null))).toBe(later);
  });

  it('follow the first page while no older one was asked for', () => {
    const later = withFirst(firstShown(page('fe', 'e')), page('gf', 'f'));
    expect([idsOf(later), later.next]).toEqual(['gf', 'f']);
  });

  it('may have pages without any, of a state that few have', () => {
    const sparse = withOlder(askingOlder(firstShown(page('', 'k', 'z'))), 'k', page('b', 'a'));
    const later = withFirst(sparse, page('', 'm', 'z'));
    expect([idsOf(sparse), idsOf(later), later.next]).toEqual(['b', 'b', 'a']);
  });
});
