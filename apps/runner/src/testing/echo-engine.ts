import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelPin } from '@app/batches';
import { InterleaveError } from '@app/contracts';
import type { RowCost, RowEngine, RowRequest } from '../chunks/row-engine';

/**
 * Answers a row with its own `input`, at times that have nothing to do with the order of the rows. `input: "bad"` fails;
 * models are called `echo`.
 */
export class EchoEngine implements RowEngine {
  readonly seen = new Map<string, number>();
  /** Without it, rows fail. */
  hasModel = true;
  /** Of its files. */
  digest = 'a'.repeat(64);
  /** Digests that answered rows asked for. */
  readonly pins = new Set<string>();
  /** What a row is predicted to take. */
  rowSeconds = 0.5;
  /** Rows that asked for a run without neighbours. */
  ranAlone = 0;
  /** Called for each row that is answered. */
  onRow: (input: string) => void = () => undefined;
  private gate: Promise<void> = Promise.resolve();
  private heldFromRow = Infinity;
  private delay = 0;

  /** Holds back the answers of rows from this one on (`text <row>`); the answer lets them go. */
  holdFrom(row: number): () => void {
    let open: () => void = () => undefined;
    this.heldFromRow = row;
    this.gate = new Promise((resolve) => (open = resolve));
    return () => {
      this.heldFromRow = Infinity;
      open();
    };
  }

  async answer(request: RowRequest, signal: AbortSignal): Promise<object> {
    const { input } = request.body as { input: unknown };
    if (!this.hasModel) throw new InterleaveError('model_not_found', 'No model named echo');
    if (request.runAlone) this.ranAlone += 1;
    if (request.pin !== null) this.pins.add(request.pin.digest);
    this.delay = (this.delay * 7 + 3) % 5;
    await sleep(this.delay, undefined, { signal });
    if (Number(/\d+$/.exec(String(input))?.[0] ?? -1) >= this.heldFromRow) await Promise.race([this.gate, rejectOnAbort(signal)]);
    if (typeof input !== 'string')
      throw new InterleaveError('invalid_request', `input: expected a string but received ${JSON.stringify(input)}`, { param: 'input' });
    this.onRow(input);
    if (input === 'bad') throw new InterleaveError('inference_failed', 'the model refused it');
    this.seen.set(input, (this.seen.get(input) ?? 0) + 1);
    return { echo: input };
  }

  async pin(model: string): Promise<ModelPin> {
    return { name: model, version: '1', digest: this.digest };
  }

  async pinProblem({ digest }: ModelPin): Promise<string | null> {
    if (!this.hasModel) return 'No model named echo';
    return digest === this.digest ? null : 'other files';
  }

  pinnedRevisions(pins: readonly ModelPin[]): number[] {
    return pins.length > 0 ? [1] : [];
  }

  secondsPerRow(): number {
    return this.rowSeconds;
  }

  async predict({ body }: Pick<RowRequest, 'body'>): Promise<RowCost> {
    const { input } = body as { input: string };
    return { seconds: 0.5, lengths: [input.length] };
  }

  executorCount(): number {
    return 2;
  }

  modelProblem(model: string): { code: string; message: string } | null {
    return this.hasModel && model === 'echo' ? null : { code: 'model_not_found', message: `No model named ${model}` };
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true }));
}
