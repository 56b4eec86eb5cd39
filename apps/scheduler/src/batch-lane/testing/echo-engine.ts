import { setTimeout as sleep } from 'node:timers/promises';
import { InterleaveError } from '@app/contracts';
import type { Endpoint } from '@app/protocols';
import type { RowEngine, RowRequest } from '../row-engine';

/** The endpoint of `/v1/embeddings`, the only one that `EchoEngine` knows. */
export function parseEmbeddings(url: string): Endpoint {
  if (url !== '/v1/embeddings') throw new InterleaveError('invalid_request', `endpoint: expected /v1/embeddings but received ${url}`, { param: 'endpoint' });
  return { kind: 'embeddings', model: null, version: null };
}

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

  parse(line: Buffer): unknown {
    return JSON.parse(line.toString('utf8'));
  }

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

  errorBody(_endpoint: Endpoint, error: InterleaveError): object {
    return { error: { message: error.message, type: 'invalid_request_error', param: error.param, code: error.code } };
  }

  modelProblem(model: string): { code: string; message: string } | null {
    return model === 'echo' ? null : { code: 'model_not_found', message: `No model named ${model}` };
  }
}
