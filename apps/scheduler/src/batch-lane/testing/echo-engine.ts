import { setTimeout as sleep } from 'node:timers/promises';
import { InterleaveError } from '@app/contracts';
import type { RowEngine, RowRequest } from '../row-engine';

/**
 * Answers a row with its own `input`, at times that have nothing to do with the order of the rows. `input: "bad"` fails;
 * models are called `echo`. `gate` holds back all answers.
 */
export class EchoEngine implements RowEngine {
  readonly seen = new Map<string, number>();
  gate: Promise<void> = Promise.resolve();
  /** Called for each row before it is answered; may throw. */
  onRow: (input: string) => void = () => undefined;
  private delay = 0;

  async answer(request: RowRequest, signal: AbortSignal): Promise<object> {
    const { input } = request.body as { input: unknown };
    this.delay = (this.delay * 7 + 3) % 5;
    await sleep(this.delay, undefined, { signal });
    await Promise.race([this.gate, new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))]);
    if (typeof input !== 'string') throw new InterleaveError('invalid_request', `input: expected a string but received ${JSON.stringify(input)}`, { param: 'input' });
    this.onRow(input);
    if (input === 'bad') throw new InterleaveError('inference_failed', 'the model refused it');
    this.seen.set(input, (this.seen.get(input) ?? 0) + 1);
    return { echo: input };
  }

  modelProblem(model: string): { code: string; message: string } | null {
    return model === 'echo' ? null : { code: 'model_not_found', message: `No model named ${model}` };
  }
}
