import type { CalibrationState, CalibrationStatus, ModelSignature, WorkerModelPlan } from '@app/contracts';

/** One revision of a model of the worker on its way to a cost table. */
export interface Subject {
  plan: WorkerModelPlan;
  /** Null until the model is ready. */
  signature: ModelSignature | null;
  /** Null until the model file was read. */
  costId: CostId | null;
  /** Modification time of the file whose table is in use; null: none. */
  fileModifiedMs: number | null;
  state: CalibrationState;
  reason: string | null;
}

export interface CostId {
  id: string;
  modelSha256: string;
}

/** Ready, and its files known. */
export type IdentifiedSubject = Subject & { signature: ModelSignature; costId: CostId };

export const subjectOf = (plan: WorkerModelPlan): Subject => ({
  plan,
  signature: null,
  costId: null,
  fileModifiedMs: null,
  state: 'waiting',
  reason: null,
});

export const statusOf = ({ plan: { name, version, revision }, state, reason }: Subject): CalibrationStatus => {
  return { name, version, revision, state, reason };
};
