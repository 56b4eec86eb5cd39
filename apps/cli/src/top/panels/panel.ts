import type { Line } from '../styled-text';

export const PANEL_IDS = ['cpus', 'models', 'batches', 'events'] as const;
export type PanelId = (typeof PANEL_IDS)[number];

/** A list with a title, of which the screen shows as much as there is room for. */
export interface Panel {
  id: PanelId;
  title: string;
  /** Beside the title. */
  note: Line;
  /** Heads of columns; null: none. */
  header: Line | null;
  rows: Line[];
}
