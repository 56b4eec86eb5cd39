import type { JSX } from 'preact';
import { Icon, type IconName } from './icon';

export type Tone = 'ok' | 'watch' | 'bad' | 'busy' | 'quiet';

const ICONS: Readonly<Record<Tone, IconName | null>> = { ok: 'ok', watch: 'watch', bad: 'bad', busy: null, quiet: null };

/** A state: its word, a colour and a sign. */
export function Badge({ tone, children }: { tone: Tone; children: string }): JSX.Element {
  const icon = ICONS[tone];
  return (
    <span class={`badge badge-${tone}`}>
      {icon === null ? <span class="badge-dot" aria-hidden="true" /> : <Icon name={icon} size={12} />}
      {children}
    </span>
  );
}

/** Which lane something belongs to: blue and solid, or plum and hatched. */
export function LaneMark({ lane }: { lane: 'live' | 'batch' }): JSX.Element {
  return <span class={`swatch swatch-${lane}`} aria-hidden="true" />;
}
