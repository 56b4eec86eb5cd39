import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stack, until } from '../support/stack';

const ROWS = 20_000;
const MODEL = 'encoder-tiny';
const KILLS = 4;
const DONE_MS_MAX = 240_000;

interface View {
  status: string;
  output_file_id: string;
  request_counts: { total: number; completed: number; failed: number };
}

describe('a batch over tables', () => {
  let stack: Stack;
  let undisturbed: string;

  beforeAll(async () => {
    stack = await Stack.start({ models: [MODEL] });
    undisturbed = await outputOf(await create());
  }, DONE_MS_MAX);
  afterAll(() => stack?.stop());

  async function create(): Promise<string> {
    const content = `id,review\n${Array.from({ length: ROWS }, (_, row) => `row-${row},row ${row} ${'x'.repeat(row % 23)}\n`).join('')}`;
    const file = await post('/v1/files?purpose=batch', 'text/csv', content);
    const request = {
      input_file_id: file,
      endpoint: '/v1/embeddings',
      model: MODEL,
      completion_window: '24h',
      deterministic: true,
      input: { format: 'csv', id_column: 'id', columns: { input: 'review' } },
      output: { format: 'parquet', columns: ['review'] },
    };
    return post('/v1/batches', 'application/json', JSON.stringify(request));
  }

  async function post(path: string, type: string, body: string): Promise<string> {
    const response = await fetch(`${stack.url}${path}`, { method: 'POST', headers: { 'content-type': type }, body });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return ((await response.json()) as { id: string }).id;
  }

  const viewOf = async (id: string): Promise<View> => (await (await fetch(`${stack.url}/v1/batches/${id}`)).json()) as View;

  async function viewWhen(id: string, isWanted: (view: View) => boolean): Promise<View> {
    let view = await viewOf(id);
    await until(
      async () => isWanted(view) || isWanted((view = await viewOf(id))),
      DONE_MS_MAX,
      () => JSON.stringify(view),
    );
    return view;
  }

  async function outputOf(id: string): Promise<string> {
    const view = await viewWhen(id, ({ status }) => ['completed', 'failed', 'expired', 'cancelled'].includes(status));
    expect(view).toMatchObject({ status: 'completed', request_counts: { total: ROWS, completed: ROWS, failed: 0 } });
    const content = await (await fetch(`${stack.url}/v1/files/${view.output_file_id}/content`)).arrayBuffer();
    return createHash('sha256').update(Buffer.from(content)).digest('hex');
  }

  /** Resolves when it has been seen to be gone. */
  async function killRunner(): Promise<void> {
    const running = () => stack.pidOf('runner').catch(() => 0);
    const killed = await running();
    if (killed === 0) return;
    process.kill(killed, 'SIGKILL');
    await until(
      async () => (await running()) !== killed,
      DONE_MS_MAX,
      () => 'the runner outlived SIGKILL',
    );
  }

  it.each(['validating', 'finalizing'])(
    'has the same bytes although its runner is killed while it is %s',
    async (stage) => {
      const id = await create();
      const before = stage === 'validating' ? [] : ['validating', 'in_progress'];
      let kills = 0;
      for (; kills < KILLS; kills++) {
        const { status } = await viewWhen(id, (view) => !before.includes(view.status));
        if (status !== stage) break;
        await sleep(50 * kills);
        await killRunner();
      }
      expect(kills).toBeGreaterThan(0);
      expect(await outputOf(id)).toBe(undisturbed);
    },
    DONE_MS_MAX,
  );
});
