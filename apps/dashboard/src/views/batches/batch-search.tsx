import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { BatchSearchResult, RowHit } from '@app/contracts';
import { bytes, count, counted, text } from '../../format';
import { ask } from '../../live/requests';
import { Badge, type Tone } from '../../parts/badge';
import { Icon } from '../../parts/icon';
import { Panel } from '../../parts/panel';
import { Problem } from '../../parts/problem';
import { hrefOf } from '../../route';
import { BatchTable } from './batch-table';

const QUERY_MAX = 512;

/** By the id of a batch or the `custom_id` of a row, in one batch or in all. */
export function BatchSearch({ nowMs, batchId }: { nowMs: number; batchId?: string }): JSX.Element {
  const [query, setQuery] = useState('');
  const [found, setFound] = useState<BatchSearchResult[] | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const search = async (asked: string, before: BatchSearchResult[]): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      const after = before.at(-1)?.next ?? null;
      setFound([...before, await ask<BatchSearchResult>(searchUrl(asked, batchId, after))]);
    } catch (error) {
      setProblem((error as Error).message);
    }
    setBusy(false);
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (query.trim() !== '') void search(query.trim(), []);
  };
  const words = batchId === undefined ? 'Find a batch by its id, or a row by its custom_id' : 'Find a row of this batch by its custom_id';
  return (
    <>
      <form class="search" role="search" onSubmit={submit}>
        <label class="search-field">
          <Icon name="search" />
          <span class="only-read">{words}</span>
          <input
            type="search"
            placeholder={words}
            maxLength={QUERY_MAX}
            value={query}
            onInput={({ currentTarget }) => setQuery(currentTarget.value)}
          />
        </label>
        <button type="submit" class="button" disabled={busy}>
          {busy ? 'Searching' : 'Search'}
        </button>
      </form>
      {problem !== null && <Problem text={problem} />}
      {found !== null && (
        <Results found={found} isBusy={busy} nowMs={nowMs} more={(asked) => void search(asked, found)} close={() => setFound(null)} />
      )}
    </>
  );
}

function searchUrl(query: string, batchId: string | undefined, after: string | null): string {
  const parts = new URLSearchParams({ q: query });
  if (batchId !== undefined) parts.set('batch', batchId);
  if (after !== null) parts.set('after', after);
  return `/dashboard/batches/search?${parts.toString()}`;
}

interface ResultsProps {
  found: BatchSearchResult[];
  isBusy: boolean;
  nowMs: number;
  more: (query: string) => void;
  close: () => void;
}

function Results({ found, isBusy, nowMs, more, close }: ResultsProps): JSX.Element {
  const query = found[0]?.query ?? '';
  const batches = found.flatMap((part) => part.batches);
  const rows = found.flatMap((part) => part.rows);
  const next = found.at(-1)?.next ?? null;
  const searched = found.reduce((sum, part) => sum + part.searched.bytes, 0);
  const button = (
    <button type="button" class="button" onClick={close}>
      Close
    </button>
  );
  return (
    <Panel title={`Found for “${query}”`} aside={button}>
      <div role="status">{batches.length + rows.length === 0 && <p>{next === null ? 'Nothing has this id.' : 'Nothing so far.'}</p>}</div>
      {batches.length > 0 && <BatchTable batches={batches} nowMs={nowMs} />}
      {rows.length > 0 && (
        <ul class="hits">
          {rows.map((hit) => (
            <Hit key={`${hit.batch.id} ${hit.row}`} hit={hit} />
          ))}
        </ul>
      )}
      <p class="soft small">Searched {text(bytes(searched))} of rows.</p>
      {next !== null && (
        <button type="button" class="button" disabled={isBusy} onClick={() => more(query)}>
          Search on in older batches
        </button>
      )}
    </Panel>
  );
}

const TONES: Readonly<Record<RowHit['state'], { tone: Tone; word: string }>> = {
  waiting: { tone: 'busy', word: 'not done yet' },
  completed: { tone: 'ok', word: 'answered' },
  failed: { tone: 'bad', word: 'failed' },
  not_run: { tone: 'quiet', word: 'not run' },
};

function Hit({ hit: { batch, customId, row, line, chunk, state, result, error } }: { hit: RowHit }): JSX.Element {
  const { tone, word } = TONES[state];
  const place = [
    `row ${count(row + 1)}`,
    line === null ? null : `line ${count(line)} of the file`,
    chunk === null ? null : `chunk ${count(chunk)}`,
  ];
  return (
    <li class="hit">
      <p>
        <Badge tone={tone}>{word}</Badge> <strong>{customId}</strong>{' '}
        <span class="soft">
          {place.filter((part) => part !== null).join(', ')} of <a href={hrefOf('batches', batch.id)}>{batch.id}</a>
        </span>
      </p>
      {error !== null && (
        <p class="tone-bad">
          {error.code}: {error.message}
        </p>
      )}
      {result !== null && (
        <details>
          <summary>
            Its line{result.isCut ? ', the beginning' : ''}, {counted(result.text.length, 'character')}
          </summary>
          <pre tabIndex={0}>{result.text}</pre>
        </details>
      )}
    </li>
  );
}
