import type { TensorSpec } from '@app/contracts';
import type { CatalogEntry, ModelView } from '@app/models';

/** Of a model that is ready, as the Open Inference Protocol has it. */
export interface ModelMetadata {
  name: string;
  versions: string[];
  /** As Triton calls them. */
  platform: 'onnx_onnxv1' | 'ensemble';
  inputs: TensorMetadata[];
  outputs: TensorMetadata[];
}

type TensorMetadata = Pick<TensorSpec, 'name' | 'datatype' | 'shape'>;

/** With the entry that is described. Throws `model_not_found`, and what else is to be said about the model. */
export function modelMetadata(catalog: ModelView, name: string, version: string | undefined): [ModelMetadata, CatalogEntry | undefined] {
  const { name: model, signature, isGraph, version: served } = catalog.find(name, version ?? null);
  const entries = catalog.entriesOf(name, version ?? null);
  const metadata: ModelMetadata = {
    name: model,
    versions: entries.map((entry) => entry.version),
    platform: isGraph ? 'ensemble' : 'onnx_onnxv1',
    inputs: signature.inputs.map(tensorMetadata),
    outputs: signature.outputs.map(tensorMetadata),
  };
  return [metadata, entries.find((entry) => entry.version === served)];
}

const tensorMetadata = ({ name, datatype, shape }: TensorSpec): TensorMetadata => ({ name, datatype, shape });
