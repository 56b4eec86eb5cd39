import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { BatchSummaryPage } from '@app/contracts';
import type { ViewProps } from '../view-props';
import { ask, usePolled } from '../../live/requests';
import { Empty, Panel } from '../../parts/panel';
import { Problem } from '../../parts/problem';
import { BatchDetailView } from './batch-detail-view';
import { BatchSearch } from './batch-search';
import { BatchTable } from './batch-table';
import { askingOlder, batchesOf, firstShown, withFirst, withOlder } from './shown-batches';

const REFRESH_MS = 2_000;
const PAGE_ROWS = 50;
/** Older ones are found by their id. */
const SHOWN_MAX = 1_000;

const FILTERS = [
  { state: '', words: 'All' },
  { state: 'open', words: 'Not done' },
  { state: 'completed', words: 'Completed' },
  { state: 'failed', words: 'Failed' },
] as const;

type Filter = (typeof FILTERS)[number];

export function BatchesView({ route, nowMs }: ViewProps): JSX.Element {
  if (route.item !== null) return <BatchDetailView key={route.item} id={route.item} nowMs={nowMs} />;
  return <BatchList nowMs={nowMs} />;
}

function BatchList({ nowMs }: { nowMs: number }): JSX.Element {
  const [filter, setFilter] = useState<Filter>(FILTERS[0]);
  const url = `/dashboard/batches?limit=${PAGE_ROWS}${filter.state === '' ? '' : `&state=${filter.state}`}`;
  const { data, problem } = usePolled<BatchSummaryPage>(url, REFRESH_MS);
  return (
    <>
      <BatchSearch nowMs={nowMs} />
      <Panel
        title="Batches"
        aside={<FilterSwitch filter={filter} choose={setFilter} />}
        note="Newest first. Choose one to see its chunks and to pause, cancel or retry it."
      >
        {problem !== null && <Problem text={problem} />}
        {data === null && problem === null && <p class="soft">Reading the list</p>}
        {data !== null && <Pages key={url} url={url} first={data} nowMs={nowMs} isAll={filter.state === ''} />}
      </Panel>
    </>
  );
}

function FilterSwitch({ filter, choose }: { filter: Filter; choose: (filter: Filter) => void }): JSX.Element {
  return (
    <div class="switch switch-words" role="group" aria-label="Batches shown">
      {FILTERS.map((each) => (
        <button key={each.state} type="button" aria-pressed={each === filter} onClick={() => choose(each)}>
          {each.words}
        </button>
      ))}
    </div>
  );
}

/** The first page, which is read again and again, and older ones as they were when they were last read. */
function Pages({ url, first, nowMs, isAll }: { url: string; first: BatchSummaryPage; nowMs: number; isAll: boolean }): JSX.Element {
  const [shown, setShown] = useState(() => firstShown(first));
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => setShown((before) => withFirst(before, first)), [first]);
  const batches = batchesOf(shown);
  const { next } = shown;
  const more = async (after: string): Promise<void> => {
    setBusy(true);
    setProblem(null);
    setShown(askingOlder);
    try {
      const page = await ask<BatchSummaryPage>(`${url}&after=${encodeURIComponent(after)}`);
      setShown((before) => withOlder(before, after, page));
    } catch (error) {
      setProblem((error as Error).message);
    }
    setBusy(false);
  };
  if (batches.length === 0 && next === null) return isAll ? <NoBatches /> : <Empty title="None of these" />;
  return (
    <>
      <BatchTable batches={batches} nowMs={nowMs} />
      {problem !== null && <Problem text={problem} />}
      {next !== null && batches.length < SHOWN_MAX && (
        <button type="button" class="button more" disabled={busy} onClick={() => void more(next)}>
          {busy ? 'Reading' : 'Show older ones'}
        </button>
      )}
    </>
  );
}

const NoBatches = (): JSX.Element => (
  <Empty title="No batch yet">
    Submit a file, one row for each line: <code>interleave batch submit rows.txt --model langid</code>
  </Empty>
);
