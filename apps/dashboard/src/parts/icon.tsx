import type { JSX } from 'preact';

/** 16 by 16, drawn with the colour of the text. */
const PATHS = {
  ok: 'M3.5 8.5l3 3 6-7',
  watch: 'M8 4.5v4.2M8 11.4v.1',
  bad: 'M5 5l6 6M11 5l-6 6',
  info: 'M8 7.4v4M8 4.6v.1',
  away: 'M4 8h8',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4l3.1 3.1',
  out: 'M6 3.5H3.5v9h9V10M9 3.5h3.5V7M12.5 3.5L7.5 8.5',
  back: 'M9.5 3.5L5 8l4.5 4.5',
  down: 'M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3 13.5h10',
  light:
    'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1',
  dark: 'M13 9.4A5.4 5.4 0 0 1 6.6 3a5.4 5.4 0 1 0 6.4 6.4z',
  system: 'M2.5 3.5h11v7h-11zM6 13.5h4M8 10.5v3',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Two lanes that share one line. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" width="26" height="26" viewBox="0 0 26 26" aria-hidden="true" focusable="false">
      <rect class="mark-ground" width="26" height="26" rx="7" />
      <path class="mark-live" d="M6 9.5h14" />
      <path class="mark-batch" d="M6 16.5h3.2M11.4 16.5h3.2M16.8 16.5h3.2" />
    </svg>
  );
}
