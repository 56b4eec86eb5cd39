import { InterleaveError } from '@app/contracts';

const RETRY_AFTER_SECONDS = 1;

/** A model that will answer soon, or once somebody asks for it. */
export class ModelNotReady extends InterleaveError {
  /** `modelVersion` null: any would do. */
  constructor(
    readonly model: string,
    readonly modelVersion: string | null,
    readonly state: 'loading' | 'unloaded',
    /** A request for it loads it. */
    readonly isOnDemand: boolean,
  ) {
    const what = modelVersion === null ? `model "${model}"` : `model "${model}" version ${modelVersion}`;
    super('worker_unavailable', `${what} is ${state === 'loading' ? 'loading' : 'not loaded'}; try again`, {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
  }
}

/** What is said of every model that is not there for the caller. */
export function unknownModel(name: string): InterleaveError {
  return modelNotFound(`there is no model ${quote(name)}; GET /v1/models lists those that exist`);
}

export function modelNotFound(message: string): InterleaveError {
  return new InterleaveError('model_not_found', message, { param: 'model' });
}

/** Names come from the caller: shortened and escaped before they appear in a message. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);
}
