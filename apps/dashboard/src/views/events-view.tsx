import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { NodeEvent } from '@app/contracts';
import type { ViewProps } from './view-props';
import { clock, day } from '../format';
import { LevelIcon } from '../frame/verdict-band';
import { Empty, Panel } from '../parts/panel';
import { hrefOf } from '../route';

const FILTERS = [
  { id: 'all', words: 'All', lets: () => true },
  { id: 'wrong', words: 'Only what went wrong', lets: ({ level }: NodeEvent) => level !== 'ok' },
] as const;

/** What happened, what it means and what to do. */
export function EventsView({ snapshot: { view }, route }: ViewProps): JSX.Element {
  const [filter, setFilter] = useState<(typeof FILTERS)[number]>(FILTERS[0]);
  const shown = view.events.filter(filter.lets).reverse();
  const days = Map.groupBy(shown, ({ atMs }) => day(atMs));
  useEffect(() => {
    if (route.item !== null) document.getElementById(`event-${route.item}`)?.scrollIntoView({ block: 'center' });
  }, [route.item]);
  const choice = (
    <div class="switch switch-words" role="group" aria-label="Events shown">
      {FILTERS.map((each) => (
        <button key={each.id} type="button" aria-pressed={each === filter} onClick={() => setFilter(each)}>
          {each.words}
        </button>
      ))}
    </div>
  );
  return (
    <Panel title="Events" aside={choice} note="What happened on this node, the newest first; what it means, and what to do about it.">
      {shown.length === 0 && (
        <Empty title={filter.id === 'all' ? 'Nothing has happened yet' : 'Nothing went wrong'}>
          Restarts, limits, models that fail and batches that begin or end appear here.
        </Empty>
      )}
      {[...days].map(([title, events]) => (
        <section key={title} class="event-day" aria-label={title}>
          <h3 class="soft">{title}</h3>
          <ol>
            {events.map((event) => (
              <Event key={event.id} event={event} isChosen={route.item === String(event.id)} />
            ))}
          </ol>
        </section>
      ))}
    </Panel>
  );
}

function Event({
  event: { id, atMs, level, kind, text, meaning, advice, subject },
  isChosen,
}: {
  event: NodeEvent;
  isChosen: boolean;
}): JSX.Element {
  return (
    <li id={`event-${id}`} class={`event event-${level} ${isChosen ? 'is-chosen' : ''}`} aria-current={isChosen ? 'true' : undefined}>
      <time class="event-time soft">{clock(atMs)}</time>
      <LevelIcon level={level} />
      <div>
        <p class="event-text">{text}</p>
        <p class="soft">{meaning}</p>
        {advice !== null && (
          <p class="event-advice">
            <strong>What to do:</strong> {advice}
          </p>
        )}
        {kind === 'batch' && subject !== null && <a href={hrefOf('batches', subject)}>See the batch</a>}
        {kind === 'model' && <a href={hrefOf('models')}>See the models</a>}
      </div>
    </li>
  );
}
