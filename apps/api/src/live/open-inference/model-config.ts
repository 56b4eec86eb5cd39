import type { Config } from '@app/config';
import type { Datatype, ModelSignature, TensorSpec, WorkerPlan } from '@app/contracts';
import type { ModelView } from '@app/models';
import { PlacementReader } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG } from '../../tokens';

/** An input or output in Triton's configuration: without the batch dimension where `max_batch_size` is above 0. */
export interface TensorConfig {
  name: string;
  data_type: string;
  dims: number[];
}

/** The part of Triton's `ModelConfig` that has a meaning here. */
export interface ModelConfig {
  name: string;
  platform: 'onnxruntime_onnx';
  backend: 'onnxruntime';
  version_policy: { all: Record<string, never> };
  /** 0: the first dimension is no batch, and `dims` are whole shapes. */
  max_batch_size: number;
  input: TensorConfig[];
  output: TensorConfig[];
  instance_group: { name: string; kind: 'KIND_CPU' | 'KIND_GPU'; count: number }[];
  default_model_filename: string;
  /** Absent: rows of several requests never share a run. */
  dynamic_batching?: { preferred_batch_size: number[]; max_queue_delay_microseconds: number };
}

/** What Triton's model configuration extension tells. */
@Injectable()
export class ModelConfigs {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly placement: PlacementReader,
  ) {}

  /** Throws as `ModelView.find`. Version null: the newest that is ready. */
  of(catalog: ModelView, name: string, version: string | null): ModelConfig {
    const { signature, revision } = catalog.find(name, version);
    const workers = this.placement.workers().filter((worker) => worker.lane === 'realtime' && planOf(worker, revision) !== undefined);
    const plans = workers.map((worker) => planOf(worker, revision)?.runRowsMax ?? this.config.realtime.runRowsMax);
    const isBatched = hasBatchFirst(signature);
    return {
      name,
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      version_policy: { all: {} },
      max_batch_size: isBatched ? Math.max(1, ...plans) : 0,
      input: signature.inputs.map((spec) => tensorConfig(spec, isBatched)),
      output: signature.outputs.map((spec) => tensorConfig(spec, isBatched)),
      instance_group: workers.map(({ id, cpus, gpu }) => ({ name: id, kind: gpu === null ? 'KIND_CPU' : 'KIND_GPU', count: cpus.length })),
      default_model_filename: 'model.onnx',
      ...(signature.coalesce !== 'alone' && { dynamic_batching: { preferred_batch_size: [], max_queue_delay_microseconds: 0 } }),
    };
  }
}

/** Triton's rule for a batch size above 0: the first dimension of every input and output is the batch. */
function hasBatchFirst({ inputs, outputs }: ModelSignature): boolean {
  return inputs.length > 0 && [...inputs, ...outputs].every(({ shape, axes }) => axes[0] === 'batch' && shape[0] === -1);
}

function tensorConfig({ name, datatype, shape }: TensorSpec, isBatched: boolean): TensorConfig {
  return { name, data_type: dataTypeOf(datatype), dims: isBatched ? shape.slice(1) : shape };
}

const dataTypeOf = (datatype: Datatype): string => (datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`);

const planOf = ({ models }: WorkerPlan, revision: number): WorkerPlan['models'][number] | undefined =>
  models.find((model) => model.revision === revision);
