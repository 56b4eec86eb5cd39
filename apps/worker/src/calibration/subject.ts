import type { CalibrationState, CalibrationStatus, ModelSignature } from '@app/contracts';

/** One model of the worker on its way to a cost table. */
export interface Subject {
  /** Position in the worker's plan. */
  index: number;
  name: string;
  version: string;
  modelPath: string;
  rowTokensMax: number | null;
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

export const statusOf = ({ name, version, state, reason }: Subject): CalibrationStatus => ({ name, version, state, reason });
