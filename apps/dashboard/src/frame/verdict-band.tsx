import type { JSX } from 'preact';
import type { NodeChange, NodeView, Verdict, VerdictDetail, VerdictLevel } from '@app/contracts';
import { clock, shortIds } from '../format';
import { Icon, type IconName } from '../parts/icon';
import { hrefOf } from '../route';

const SIGNS: Readonly<Record<VerdictLevel, { icon: IconName; word: string }>> = {
  ok: { icon: 'ok', word: 'All is well' },
  watch: { icon: 'watch', word: 'Look at it today' },
  bad: { icon: 'bad', word: 'Act now' },
};

const CHANGES_SHOWN_MAX = 4;

/** How the node is, in words, and what happened to it; small above views that show something else. */
export function VerdictBand({ view: { verdict, changes }, isLarge }: { view: NodeView; isLarge: boolean }): JSX.Element {
  const { icon, word } = SIGNS[verdict.level];
  return (
    <div class={isLarge ? 'band' : 'band band-small'}>
      <section class={`verdict verdict-${verdict.level}`} aria-label="How the node is">
        <span class="verdict-sign">
          <Icon name={icon} size={isLarge ? 30 : 18} />
        </span>
        <div class="verdict-words">
          <p class="verdict-level">{word}</p>
          <p class="verdict-text" role="status">
            {verdict.text}
          </p>
          {isLarge && <Advice verdict={verdict} />}
        </div>
      </section>
      {isLarge ? <Changes changes={changes} /> : <ChangesLink changes={changes} />}
    </div>
  );
}

/** What is wrong, as far as the verdict does not say it already, each with what to do about it. */
function Advice({ verdict }: { verdict: Verdict }): JSX.Element | null {
  const wrong = verdict.details.filter(({ level }) => level !== 'ok');
  const isSaid = ({ text }: VerdictDetail): boolean => verdict.text.includes(text);
  const shown = wrong.filter((detail) => detail.advice !== null || !isSaid(detail));
  if (shown.length === 0) return null;
  return (
    <ul class="advice">
      {shown.map((detail) => (
        <li key={detail.text}>
          <LevelIcon level={detail.level} />
          <span>
            {!isSaid(detail) && <span class="advice-text">{detail.text}</span>}
            {detail.advice !== null && (
              <span>
                <strong>What to do:</strong> {detail.advice}
              </span>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Changes({ changes }: { changes: readonly NodeChange[] }): JSX.Element {
  return (
    <section class="changes" aria-label="What changed in the last 15 minutes">
      <h2>
        What changed <span class="soft">in the last 15 minutes</span>
      </h2>
      {changes.length === 0 ? (
        <p class="soft">Nothing. No restarts, no limits, no new models.</p>
      ) : (
        <ol>
          {[...changes]
            .slice(-CHANGES_SHOWN_MAX)
            .reverse()
            .map((change) => (
              <li key={change.eventId}>
                <a href={hrefOf('events', String(change.eventId))}>
                  <time class="soft">{clock(change.atMs).slice(0, 5)}</time>
                  <LevelIcon level={change.level} />
                  <span class="changes-text" title={change.text}>
                    {shortIds(change.text)}
                  </span>
                  {change.count > 1 && <span class="changes-count soft small">{change.count} times</span>}
                </a>
              </li>
            ))}
        </ol>
      )}
      {changes.length > CHANGES_SHOWN_MAX && <a href={hrefOf('events')}>All {changes.length} changes</a>}
    </section>
  );
}

function ChangesLink({ changes }: { changes: readonly NodeChange[] }): JSX.Element {
  const said = changes.length === 0 ? 'No changes' : changes.length === 1 ? '1 change' : `${changes.length} changes`;
  return (
    <a class="changes-link" href={hrefOf('events')}>
      <strong>{said}</strong> in 15 minutes
    </a>
  );
}

/** With its word for those who do not see the sign. */
export function LevelIcon({ level }: { level: VerdictLevel }): JSX.Element {
  const name = level === 'ok' ? 'info' : level;
  const word = { ok: 'Information', watch: 'Watch', bad: 'Bad' }[level];
  return (
    <span class={`level level-${level}`}>
      <Icon name={name} size={12} />
      <span class="only-read">{word}: </span>
    </span>
  );
}
