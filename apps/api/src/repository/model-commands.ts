import { runPaths, type Config } from '@app/config';
import { InterleaveError, type LoadCommand, type ModelCommand } from '@app/contracts';
import { splitLabel, type ModelView } from '@app/models';
import { commandProcess } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { CATALOG, CONFIG } from '../tokens';

/** As long as a model may take to load; the longest that the scheduler waits. */
const LOAD_MS_MAX = 600_000;
const UNLOAD_MS_MAX = 10_000;
const ANSWER_MS = 5_000;
const NAME_CHARACTERS_MAX = 512;
/** No model here depends on another one, so it changes nothing. */
const HARMLESS: ReadonlySet<string> = new Set(['unload_dependents']);

/** What operators tell the scheduler about models, in whatever protocol. */
@Injectable()
export class ModelCommands {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CATALOG) private readonly catalog: ModelView,
  ) {}

  /** `parameters`: as Triton has them. Resolves when the model, as its files are now, answers. Rejects with why it does not. */
  async load(name: string, parameters: object): Promise<void> {
    const command: LoadCommand = { ...this.checked(name, parameters), waitMs: LOAD_MS_MAX };
    await this.tell('/models/load', command, LOAD_MS_MAX + ANSWER_MS);
  }

  /** Resolves when no new request gets the model. Rejects with why it is not unloaded. */
  async unload(name: string, parameters: object): Promise<void> {
    await this.tell('/models/unload', this.checked(name, parameters), UNLOAD_MS_MAX);
  }

  private checked(name: string, parameters: object): ModelCommand {
    check(name, parameters);
    // The scheduler knows models by their names and versions.
    const labelled = splitLabel(name).label === null ? null : this.catalog.entriesOf(name, null)[0];
    return labelled ? { name: labelled.name, version: labelled.version } : { name };
  }

  private async tell(path: string, command: ModelCommand, timeoutMs: number): Promise<void> {
    try {
      await commandProcess(runPaths(this.config.runDir).statusSocket('scheduler'), path, command, timeoutMs);
    } catch (error) {
      // An error of the system has a code: nobody listens.
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === undefined) throw new InterleaveError('invalid_request', message);
      throw new InterleaveError('worker_unavailable', 'The scheduler of this node does not answer, and it loads the models; try again', {
        retryAfterSeconds: 1,
      });
    }
  }
}

function check(name: string, parameters: object): void {
  if (name.length === 0 || name.length > NAME_CHARACTERS_MAX)
    throw new InterleaveError('invalid_request', `expected the name of a model, at most ${NAME_CHARACTERS_MAX} characters`, {
      param: 'model',
    });
  const other = Object.keys(parameters).find((key) => !HARMLESS.has(key));
  if (other === undefined) return;
  throw new InterleaveError(
    'not_supported',
    `expected no parameter ${JSON.stringify(other.slice(0, 64))} because models are loaded as their files in MODELS_DIR are; ` +
      'put the files there, with settings in model.yaml, and leave the parameter out',
    { param: 'parameters' },
  );
}
