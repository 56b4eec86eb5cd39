import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Link, LiveState } from '../live/live-state';
import { Icon, Mark, type IconName } from '../parts/icon';
import { hrefOf, type View } from '../route';
import { applyTheme, storedTheme, storeTheme, type Theme } from '../theme';

interface TopBarProps {
  view: View;
  titles: [View, string][];
  live: LiveState;
  /** Its id; null: not known yet. */
  node: string | null;
}

const LINKS: Readonly<Record<Link, { text: string; tone: string }>> = {
  connecting: { text: 'Connecting', tone: 'quiet' },
  open: { text: 'Live', tone: 'ok' },
  away: { text: 'Scheduler away', tone: 'bad' },
  broken: { text: 'No connection', tone: 'bad' },
};

export function TopBar({ view, titles, live, node }: TopBarProps): JSX.Element {
  const link = LINKS[live.link];
  return (
    <header class="top">
      <div class="top-row">
        <a class="brand" href={hrefOf('now')}>
          <Mark />
          <span class="brand-name">Interleave</span>
          {node !== null && <span class="brand-node soft">{node}</span>}
        </a>
        <nav class="tabs" aria-label="Views">
          <ul>
            {titles.map(([each, title]) => (
              <li key={each}>
                <a href={hrefOf(each)} aria-current={each === view ? 'page' : undefined}>
                  {title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="tools">
          <span class={`link link-${link.tone}`} role="status">
            <span class="link-dot" aria-hidden="true" />
            {link.text}
          </span>
          <ThemeSwitch />
          <nav class="elsewhere" aria-label="Other pages of this node">
            <a href="/admin/queues">Queues</a>
            <a href="/docs">API</a>
            <a href="/login">Session</a>
          </nav>
        </div>
      </div>
    </header>
  );
}

const THEMES: [Theme, IconName, string][] = [
  ['system', 'system', 'Colours as the system has them'],
  ['light', 'light', 'Light colours'],
  ['dark', 'dark', 'Dark colours'],
];

function ThemeSwitch(): JSX.Element {
  const [theme, setTheme] = useState(storedTheme);
  const choose = (next: Theme): void => {
    storeTheme(next);
    applyTheme(next);
    setTheme(next);
  };
  return (
    <div class="switch" role="group" aria-label="Colours">
      {THEMES.map(([each, icon, label]) => (
        <button key={each} type="button" aria-label={label} title={label} aria-pressed={each === theme} onClick={() => choose(each)}>
          <Icon name={icon} size={14} />
        </button>
      ))}
    </div>
  );
}
