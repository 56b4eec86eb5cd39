import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { embed } from '../support/live-load';
import { Stack, until } from '../support/stack';

const DISK_BYTES = 400 * 2 ** 20;
const ROWS = 8000;
const MODEL = 'encoder-tiny';
const FULL_MS = 4000;
const DONE_MS_MAX = 120_000;

const mount = (path: string): boolean => spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'none', path]).status === 0;
const unmount = (path: string): boolean => spawnSync('umount', [path]).status === 0;

function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'il-mount-'));
  const isMounted = mount(path);
  if (isMounted) unmount(path);
  rmSync(path, { recursive: true });
  return isMounted;
}

interface View {
  id: string;
  status: string;
  output_file_id: string;
  request_counts: { total: number; completed: number; failed: number };
}

const text = (row: number) => `row ${row} ${'x'.repeat(row % 23)}`;
const INPUTS = {
  jsonl: {
    type: 'application/x-ndjson',
    content: Array.from({ length: ROWS }, (_, row) => {
      const body = { model: MODEL, input: text(row), encoding_format: 'base64' };
      return `${JSON.stringify({ custom_id: `row-${row}`, method: 'POST', url: '/v1/embeddings', body })}\n`;
    }).join(''),
    request: {},
  },
  parquet: {
    type: 'text/csv',
    content: `id,review\n${Array.from({ length: ROWS }, (_, row) => `row-${row},${text(row)}\n`).join('')}`,
    request: { model: MODEL, input: { format: 'csv', id_column: 'id', columns: { input: 'review' } }, output: { format: 'parquet' } },
  },
};
type Kind = keyof typeof INPUTS;

const STAGES: Record<string, (view: View) => boolean> = {
  'is being validated': () => true,
  'has begun': ({ status }) => status === 'in_progress',
  'has run a part': ({ status, request_counts: { completed } }) => status !== 'in_progress' || completed > ROWS / 5,
  'is being published': ({ status }) => status === 'finalizing' || status === 'completed',
};

(mayMount() ? describe : describe.skip)('a node whose disk is full', () => {
  let disk: string;
  let stack: Stack;

  beforeAll(async () => {
    disk = mkdtempSync(join(tmpdir(), 'il-full-'));
    mount(disk);
    stack = await Stack.start({ models: [MODEL], parentDir: disk });
  });
  afterAll(async () => {
    await stack?.stop();
    unmount(disk);
    rmSync(disk, { recursive: true });
  });

  const ballast = () => join(disk, 'ballast');
  const free = () => rmSync(ballast(), { force: true });
  afterEach(free);

  /** Until not a byte is left. */
  function fill(): void {
    const file = openSync(ballast(), 'a');
    for (const bytes of [1 << 20, 1 << 12, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
    closeSync(file);
  }

  const upload = (kind: Kind) => {
    const { type, content } = INPUTS[kind];
    return fetch(`${stack.url}/v1/files?purpose=batch`, { method: 'POST', headers: { 'content-type': type }, body: content });
  };
  const create = (kind: Kind, fileId: string) =>
    fetch(`${stack.url}/v1/batches`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        input_file_id: fileId,
        endpoint: '/v1/embeddings',
        completion_window: '24h',
        deterministic: true,
        ...INPUTS[kind].request,
      }),
    });

  /** The same call until the disk has been seen to work again. */
  async function accepted(call: () => Promise<Response>): Promise<string> {
    let response = await call();
    await until(
      async () => response.status !== 507 || (response = await call()).status !== 507,
      DONE_MS_MAX,
      () => 'refused for too long',
    );
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return ((await response.json()) as { id: string }).id;
  }

  async function viewWhen(id: string, isWanted: (view: View) => boolean): Promise<View> {
    let view: View | undefined;
    await until(
      async () => {
        view = (await (await fetch(`${stack.url}/v1/batches/${id}`)).json()) as View;
        return isWanted(view);
      },
      DONE_MS_MAX,
      () => JSON.stringify(view),
    );
    return view as View;
  }

  async function outputOf(id: string): Promise<string> {
    const view = await viewWhen(id, ({ status }) => ['completed', 'failed', 'expired', 'cancelled'].includes(status));
    expect(view).toMatchObject({ status: 'completed', request_counts: { total: ROWS, completed: ROWS, failed: 0 } });
    const content = await (await fetch(`${stack.url}/v1/files/${view.output_file_id}/content`)).arrayBuffer();
    const withoutIds = Buffer.from(content)
      .toString('latin1')
      .replaceAll(/req_\w+/g, '');
    return createHash('sha256').update(withoutIds, 'latin1').digest('hex');
  }

  describe.each(['jsonl', 'parquet'] as const)('with output as %s', (kind) => {
    let undisturbed: string;
    beforeAll(async () => {
      const fileId = await accepted(() => upload(kind));
      undisturbed = await outputOf(await accepted(() => create(kind, fileId)));
    });

    it('refuses files and batches, keeps nothing of them, and takes them once there is room', async () => {
      fill();
      expect((await upload(kind)).status).toBe(507);
      free();
      const fileId = await accepted(() => upload(kind));
      fill();
      expect((await create(kind, fileId)).status).toBe(507);
      expect((await embed(stack.url, MODEL, 'live')).status).toBe(200);
      free();
      expect(await outputOf(await accepted(() => create(kind, fileId)))).toBe(undisturbed);
    });

    it.each(Object.entries(STAGES))('holds a batch that %s, answers live callers, and goes on to the same output', async (_, isReached) => {
      const fileId = await accepted(() => upload(kind));
      const id = await accepted(() => create(kind, fileId));
      await viewWhen(id, isReached);
      fill();
      const until = Date.now() + FULL_MS;
      while (Date.now() < until) {
        expect((await embed(stack.url, MODEL, 'live')).status).toBe(200);
        await sleep(100);
      }
      free();
      expect(await outputOf(id)).toBe(undisturbed);
    });
  });
});
