import type { JSX } from 'preact';
import type { CpuShares } from '@app/contracts';
import { percent, text } from '../format';

/** How much of a whole, 0 to 1; null: not known. */
export function Meter({
  share,
  label,
  fill = 'live',
}: {
  share: number | null;
  label: string;
  fill?: 'live' | 'batch' | 'plain';
}): JSX.Element {
  const width = `${Math.min(1, Math.max(0, share ?? 0)) * 100}%`;
  return (
    <div class="meter" role="img" aria-label={`${label}: ${text(percent(share))}`}>
      <div class={`meter-fill fill-${fill}`} style={{ width }} />
    </div>
  );
}

const CPU_PARTS = [
  { key: 'live', label: 'Live' },
  { key: 'batch', label: 'Batch' },
  { key: 'system', label: 'All else' },
  { key: 'idle', label: 'Idle' },
] as const satisfies readonly { key: keyof CpuShares; label: string }[];

export const sharesText = (shares: CpuShares): string =>
  CPU_PARTS.map(({ key, label }) => `${label.toLowerCase()} ${text(percent(shares[key]))}`).join(', ');

export function SharesBar({ shares, label }: { shares: CpuShares; label: string }): JSX.Element {
  return (
    <div class="shares" role="img" aria-label={`${label}: ${sharesText(shares)}`}>
      {CPU_PARTS.map(({ key }) => (
        <div key={key} class={`fill-${key}`} style={{ width: `${shares[key] * 100}%` }} />
      ))}
    </div>
  );
}

export function SharesLegend({ shares }: { shares?: CpuShares }): JSX.Element {
  return (
    <ul class="legend">
      {CPU_PARTS.map(({ key, label }) => (
        <li key={key}>
          <span class={`swatch swatch-${key}`} aria-hidden="true" />
          {label}
          {shares !== undefined && <strong>{text(percent(shares[key]))}</strong>}
        </li>
      ))}
    </ul>
  );
}
