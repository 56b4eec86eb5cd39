import type { NodeHistory, NodeView } from '@app/contracts';
import { laneLines, titleLine, verdictLines, type Connection } from './panels/head';
import { batchPanel, cpuPanel, eventPanel, modelPanel } from './panels/lists';
import type { Panel, PanelId } from './panels/panel';
import { fit, line, span, type Line } from './styled-text';

const ROWS_MIN = 1;

/** What decides how the screen looks. */
export interface Scene {
  view: NodeView;
  /** Null: none was asked for. */
  history: NodeHistory | null;
  connection: Connection;
  nowMs: number;
  /** The panel that the keys act on; null: nobody looks. */
  focus: PanelId | null;
  /** First row shown of that panel. */
  scroll: number;
  /** Id of the batch that the keys act on. */
  chosenBatch: string | null;
  /** The last line: keys, a question or an answer. */
  footer: Line;
}

export interface ScreenSize {
  columns: number;
  rows: number;
}

/** The whole screen, of exactly so many rows at most, each at most so wide. */
export function drawScreen(scene: Scene, { columns, rows }: ScreenSize): Line[] {
  const head = drawHead(scene, columns);
  const room = Math.max(0, rows - head.length - 1);
  const body = drawPanels(panelsOf(scene, columns), scene, room);
  const filled = [...head, ...body, ...Array.from({ length: Math.max(0, room - body.length) }, (): Line => [])];
  return [...filled.slice(0, Math.max(0, rows - 1)), scene.footer].slice(0, rows).map((one) => fit(one, columns));
}

/** All of it as text, however long. */
export function drawAll(scene: Omit<Scene, 'focus' | 'scroll' | 'chosenBatch' | 'footer'>, columns: number): Line[] {
  const whole = { ...scene, focus: null, scroll: 0, chosenBatch: null, footer: [] };
  const panels = panelsOf(whole, columns).flatMap((panel) => drawPanel(panel, panel.rows.length, whole));
  return [...drawHead(whole, columns), ...panels].map((one) => fit(one, columns));
}

function drawHead({ view, history, connection, nowMs }: Scene, columns: number): Line[] {
  return [
    titleLine(view, connection, nowMs, columns),
    ...verdictLines(view, connection, columns),
    [],
    ...laneLines(view, history, columns),
  ];
}

function panelsOf({ view, chosenBatch }: Scene, columns: number): Panel[] {
  return [cpuPanel(view, columns), modelPanel(view, columns), batchPanel(view, columns, chosenBatch), eventPanel(view, columns)];
}

function drawPanels(panels: Panel[], scene: Scene, room: number): Line[] {
  const heights = shareRows(panels, scene.focus, room);
  return panels.flatMap((panel) => {
    const rows = heights.get(panel.id);
    return rows === undefined ? [] : drawPanel(panel, rows, scene);
  });
}

/** Rows of each panel that has room: first one each, the focused panel before others, then in turns while there are more. */
function shareRows(panels: readonly Panel[], focus: PanelId | null, room: number): Map<PanelId, number> {
  const order = [...panels].sort((one, other) => Number(other.id === focus) - Number(one.id === focus));
  const heights = new Map<PanelId, number>();
  let left = room;
  for (const panel of order) {
    const needed = overhead(panel) + ROWS_MIN;
    if (needed > left) continue;
    heights.set(panel.id, ROWS_MIN);
    left -= needed;
  }
  for (let hasGrown = true; hasGrown && left > 0;) {
    hasGrown = false;
    for (const { id, rows } of order) {
      const height = heights.get(id);
      if (height === undefined || height >= rows.length || left === 0) continue;
      heights.set(id, height + 1);
      left -= 1;
      hasGrown = true;
    }
  }
  return heights;
}

/** Blank line, title, heads of columns. */
const overhead = ({ header }: Panel): number => (header === null ? 2 : 3);

function drawPanel(panel: Panel, height: number, { focus, scroll }: Scene): Line[] {
  const isFocused = panel.id === focus;
  const first = isFocused ? Math.min(scroll, Math.max(0, panel.rows.length - height)) : 0;
  const shown = panel.rows.slice(first, first + height);
  const hidden = panel.rows.length - shown.length;
  const more = hidden > 0 ? span(`  ${hidden} more`, 'soft') : span('');
  const title = line(
    span(isFocused ? '▸ ' : '  ', 'chosen'),
    span(panel.title, isFocused ? 'chosen' : 'title'),
    more,
    span('  '),
    ...panel.note,
  );
  return [[], title, ...(panel.header === null ? [] : [panel.header]), ...shown];
}
