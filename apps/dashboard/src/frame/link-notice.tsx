import type { JSX } from 'preact';
import { duration, text } from '../format';
import type { LiveState } from '../live/live-state';
import { Icon } from '../parts/icon';

/** Why what is shown is old. Nothing while it is fresh. */
export function LinkNotice({ live, ageMs }: { live: LiveState; ageMs: number | null }): JSX.Element | null {
  if (live.snapshot === null || (live.link === 'open' && ageMs === null)) return null;
  const age = ageMs === null ? '' : ` These numbers are ${text(duration(ageMs))} old.`;
  return (
    <p class="notice" role="alert">
      <Icon name="away" />
      <span>
        <strong>{live.link === 'away' ? 'The scheduler does not answer.' : 'No news from the node.'}</strong>
        {age} {live.problem !== null && `${live.problem}.`}
        {live.link === 'away' && ' Requests are still answered and batches go on. This page goes on by itself once it is back.'}
      </span>
    </p>
  );
}

/** Before the first news. */
export function Waiting({ live }: { live: LiveState }): JSX.Element {
  const isRefused = live.link === 'broken' || live.link === 'away';
  return (
    <div class="waiting" role="status">
      <span class={isRefused ? 'waiting-bad' : 'waiting-pulse'} aria-hidden="true" />
      <p class="waiting-title">{isRefused ? 'Nothing to show yet' : 'Connecting to the node'}</p>
      <p class="soft">
        {isRefused ? `${live.problem}. See on the node whether it runs: interleave up` : 'The first numbers come within two seconds.'}
      </p>
    </div>
  );
}
