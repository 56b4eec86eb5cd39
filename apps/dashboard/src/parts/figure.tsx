import type { ComponentChildren, JSX } from 'preact';
import type { Quantity } from '../format';

interface FigureProps {
  label: string;
  quantity: Quantity;
  /** Small, below the number. */
  note?: ComponentChildren;
  size?: 'small' | 'large' | 'huge';
  tone?: 'bad' | 'watch';
}

/** A number with its unit and its name. */
export function Figure({ label, quantity: { value, unit }, note, size = 'small', tone }: FigureProps): JSX.Element {
  return (
    <div class={`figure figure-${size} ${tone === undefined ? '' : `tone-${tone}`}`}>
      <span class="figure-label">{label}</span>
      <span class="figure-value">
        {value}
        {unit !== '' && <span class="figure-unit"> {unit}</span>}
      </span>
      {note !== undefined && <span class="figure-note">{note}</span>}
    </div>
  );
}
