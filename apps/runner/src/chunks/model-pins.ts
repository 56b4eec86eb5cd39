import { createHash } from 'node:crypto';
import type { ModelPin } from '@app/batches';
import { ELSEWHERE, InterleaveError, type GraphStepPlan, type WorkerModelPlan } from '@app/contracts';
import { type ContentDigests, type ModelCatalog, type ServedModel, visibleModels } from '@app/models';

export type PlannedModel = Pick<WorkerModelPlan, 'name' | 'version' | 'revision' | 'fingerprint'> & {
  /** Of a graph: what else its answers come from. */
  readonly steps?: readonly Pick<GraphStepPlan, 'revision'>[];
};

/** The rows cannot be answered here now, and are to be done again later or elsewhere. */
export class PinGone extends Error {
  override readonly name = 'PinGone';
}

const GOES_ON = 'and the batch goes on, or cancel it';

/** Which revisions of this node's models are the files that batches were begun with. */
export class ModelPins {
  /** By pin, as far as they were looked up. */
  private readonly revisions = new Map<string, number>();

  /**
   * `planned`: the revisions that the workers of this lane have or are to have. `isQuarantined`: the version is out of service in this
   * lane because it kills workers.
   */
  constructor(
    private readonly catalog: ModelCatalog,
    private readonly planned: () => readonly PlannedModel[],
    private readonly digests: ContentDigests,
    private readonly isQuarantined: (name: string, version: string) => boolean,
  ) {}

  /** What a batch that begins now is answered by. Throws an `InterleaveError` while the model is loading, or where it cannot be served. */
  async pin(model: string, version: string | null, models: readonly string[] | null): Promise<ModelPin> {
    const served = visibleModels(this.catalog, models).find(model, version);
    const plan = this.planned().find(({ revision }) => revision === served.revision);
    const digest = plan === undefined ? null : await this.digestOf(plan);
    if (digest === null) {
      const reason = `the files of model "${served.name}" version ${served.version} have just changed; trying again`;
      throw new InterleaveError('worker_unavailable', reason, { retryAfterSeconds: 1 });
    }
    const { name, remoteFiles } = served;
    const pin: ModelPin = { name, version: served.version, digest, ...(remoteFiles !== null && { remoteFiles }) };
    this.revisions.set(keyOf(pin), served.revision);
    return pin;
  }

  /** The revision that a pin means, ready or not; null: this node does not have these files. */
  async find(pin: ModelPin): Promise<number | null> {
    const known = this.revisions.get(keyOf(pin));
    const own = this.planned().filter((plan) => plan.name === pin.name && plan.version === pin.version && !this.isLost(plan));
    const [usable, failed] = [own.filter((plan) => !this.hasFailed(plan)), own.filter((plan) => this.hasFailed(plan))];
    if (usable.some(({ revision }) => revision === known)) return known ?? null;
    // The same files may have been loaded again under another number.
    for (const plan of [...usable, ...failed]) {
      if (plan.revision !== known && (await this.digestOf(plan)) !== pin.digest) continue;
      this.revisions.set(keyOf(pin), plan.revision);
      return plan.revision;
    }
    this.revisions.delete(keyOf(pin));
    return null;
  }

  /**
   * The model of a pin. Throws an `InterleaveError` while no worker has it ready (`worker_unavailable`, also where it could not be
   * loaded, because that may pass) or while it is quarantined (`model_not_servable`), and `PinGone` where this node lacks the files.
   */
  served(pin: ModelPin): ServedModel {
    const revision = this.revisions.get(keyOf(pin));
    const bound = revision === undefined ? null : this.catalog.ofRevision(revision);
    const plan = this.planned().find((planned) => planned.revision === revision);
    if (plan !== undefined && bound !== null) return sameRemoteFiles(pin, bound.model);
    const model = `model "${pin.name}" version ${pin.version}`;
    if (plan === undefined || this.isLost(plan))
      throw new PinGone(`the files of ${model} that the batch began with are not loaded any more`);
    const failure = this.catalog.failureOf(plan.revision);
    if (failure !== null && this.withSteps(plan).some(({ name, version }) => this.isQuarantined(name, version)))
      throw new InterleaveError('model_not_servable', `${model} cannot be served: ${failure}`);
    const state = failure === null ? 'is loading' : `is not loaded: ${failure}`;
    throw new InterleaveError('worker_unavailable', `${model} ${state}`, { retryAfterSeconds: 1 });
  }

  /** Why this node cannot answer by the files of a pin; null: it can, or may once the models are loaded. */
  async problem(pin: ModelPin): Promise<string | null> {
    const { name, version } = pin;
    const revision = await this.find(pin);
    if (revision === null) {
      const isPlanned = this.planned().some((plan) => plan.name === name && plan.version === version);
      const instead = isPlanned ? 'other files than' : 'no files of those that';
      return `of model "${name}" version ${version} there are ${instead} the batch began with; put them back ${GOES_ON}`;
    }
    const model = this.catalog.ofRevision(revision)?.model;
    return model === undefined || hasRemoteFilesOf(pin, model) ? null : `${otherRemoteFiles(pin)}; put them back there ${GOES_ON}`;
  }

  /** As far as they were looked up. */
  revisionOf(pin: ModelPin): number | null {
    return this.revisions.get(keyOf(pin)) ?? null;
  }

  /** No worker has it any more, nor can load it again: the folder has other files. Of a graph: it or one of its steps. */
  private isLost(plan: PlannedModel): boolean {
    return this.withSteps(plan).some((each) => this.hasFailed(each) && !this.digests.areThere(each));
  }

  private hasFailed({ revision }: PlannedModel): boolean {
    return this.catalog.failureOf(revision) !== null;
  }

  /** Without the steps that other nodes run. */
  private withSteps(plan: PlannedModel): PlannedModel[] {
    const steps = (plan.steps ?? []).map(({ revision }) => revision);
    return [plan, ...this.planned().filter(({ revision }) => steps.includes(revision))];
  }

  /** Null: some of its files changed before they were read, or cannot be read. */
  private async digestOf(plan: PlannedModel): Promise<string | null> {
    if (plan.steps === undefined) return this.digests.of(plan);
    // Those of other nodes are compared apart, since they are not known while no such node is there.
    const models = plan.steps
      .filter(({ revision }) => revision !== ELSEWHERE)
      .map(({ revision }) => this.planned().find((other) => other.revision === revision));
    const digests = await Promise.all(
      [plan, ...models].map((each) => (each === undefined ? Promise.resolve(null) : this.digests.of(each))),
    );
    return digests.includes(null) ? null : createHash('sha256').update(digests.join('\n')).digest('hex');
  }
}

const hasRemoteFilesOf = ({ remoteFiles }: ModelPin, model: ServedModel): boolean =>
  remoteFiles === undefined || remoteFiles === model.remoteFiles;

const otherRemoteFiles = ({ name, version }: ModelPin): string =>
  `for steps of model "${name}" version ${version} other nodes have other files than the batch began with`;

function sameRemoteFiles(pin: ModelPin, model: ServedModel): ServedModel {
  if (hasRemoteFilesOf(pin, model)) return model;
  throw new PinGone(otherRemoteFiles(pin));
}

const keyOf = ({ name, version, digest }: ModelPin): string => `${name}\n${version}\n${digest}`;
