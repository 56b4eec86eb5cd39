import type { BatchDetail, NodeView } from '@app/contracts';
import type { ApiClient } from '../client';
import { CliError } from '../cli-error';
import { chosenBatchOf, FIRST_KEYS, footerOf, HELP, press, type Effect, type KeyState, type Question } from './keys';
import { drawAll, drawScreen } from './layout';
import { nodeStates, type NodeState } from './node-stream';
import { Screen } from './screen';
import { line, plainText, span } from './styled-text';

/** Between two drawings without news, so that ages go on. */
const REDRAW_MS = 1_000;
const COLUMNS_DEFAULT = 100;

/** The node as text, once. */
export async function snapshotText(client: ApiClient, columns = COLUMNS_DEFAULT): Promise<string> {
  const view = await client.get<NodeView>('/dashboard/view');
  const lines = drawAll({ view, history: null, connection: { kind: 'live' }, nowMs: Date.now() }, columns);
  return lines.map((one) => plainText(one).trimEnd()).join('\n');
}

/** Fills the terminal until somebody ends it. Rejects where the server cannot be reached, or refuses. */
export async function runTop(client: ApiClient): Promise<void> {
  const end = new AbortController();
  const states = nodeStates(client, end.signal);
  // Before the screen is taken: what is refused is told as by any other command.
  const first = await states.next();
  if (first.done === true) return;
  const top = new Top(client, first.value, () => end.abort());
  await top.open();
  try {
    for await (const state of states) top.show(state);
  } finally {
    top.close();
    end.abort();
  }
}

class Top {
  private keys: KeyState = FIRST_KEYS;
  private screen: Screen | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly client: ApiClient,
    private state: NodeState,
    private readonly onEnd: () => void,
  ) {}

  async open(): Promise<void> {
    this.screen = await Screen.open({ onKey: (key) => this.onKey(key), onResize: () => this.draw() });
    this.timer = setInterval(() => this.draw(), REDRAW_MS);
    this.draw();
  }

  show(state: NodeState): void {
    this.state = state;
    this.draw();
  }

  close(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.screen?.close();
  }

  private onKey(key: string): void {
    const view = this.state.snapshot?.view;
    if (view === undefined) return key === 'q' || key === 'CTRL_C' ? this.onEnd() : undefined;
    const { state, effect } = press(this.keys, key, view);
    this.keys = state;
    if (effect !== undefined) this.do(effect);
    this.draw();
  }

  private do(effect: Effect): void {
    if (effect.kind === 'quit') return this.onEnd();
    const work = effect.kind === 'offer' ? this.offer(effect) : this.act(effect.question);
    void work.catch((error: Error) => this.tell(error instanceof CliError ? error.message : String(error)));
  }

  private async offer({ batchId, wanted }: Extract<Effect, { kind: 'offer' }>): Promise<void> {
    const { actions, status } = await this.client.get<BatchDetail>(pathOf(batchId));
    const action = wanted.find((one) => actions.includes(one));
    if (action === undefined) return this.tell(`Batch ${batchId} is ${status}; that is not possible now.`);
    this.keys = { ...this.keys, question: { batchId, action } };
    this.draw();
  }

  private async act({ batchId, action }: Question): Promise<void> {
    const { status, isPausedByRequest } = await this.client.post<BatchDetail>(pathOf(batchId, action));
    this.tell(`Batch ${batchId} is ${isPausedByRequest ? 'paused' : status} now.`);
  }

  private tell(notice: string): void {
    this.keys = { ...this.keys, notice };
    this.draw();
  }

  private draw(): void {
    if (this.screen === null) return;
    const { snapshot, connection } = this.state;
    if (snapshot === null) return this.screen.draw([line('The scheduler of this node does not answer yet.'), line(span('q: end', 'soft'))]);
    if (this.keys.isHelpShown) return this.screen.draw([...HELP, '', 'Any key: back'].map((text) => line(text)));
    const { view, history } = snapshot;
    const { focus, scroll } = this.keys;
    const scene = { view, history, connection, nowMs: Date.now(), focus, scroll, chosenBatch: chosenBatchOf(this.keys, view) };
    this.screen.draw(drawScreen({ ...scene, footer: footerOf(this.keys) }, this.screen.size));
  }
}

const pathOf = (id: string, action?: string): string =>
  `/dashboard/batches/${encodeURIComponent(id)}${action === undefined ? '' : `/${action}`}`;
