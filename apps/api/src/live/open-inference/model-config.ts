import type { Config } from '@app/config';
import type { Datatype, GraphStepPlan, ModelSignature, TensorSpec, WorkerPlan } from '@app/contracts';
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

export interface EnsembleStep {
  model_name: string;
  model_version: number;
  input_map: Record<string, string>;
  output_map: Record<string, string>;
}

/** The part of Triton's `ModelConfig` that has a meaning here. */
export interface ModelConfig {
  name: string;
  platform: 'onnxruntime_onnx' | 'ensemble';
  /** Empty: it is a graph of other models. */
  backend: 'onnxruntime' | '';
  version_policy: { all: Record<string, never> };
  /** 0: the first dimension is no batch, and `dims` are whole shapes. */
  max_batch_size: number;
  input: TensorConfig[];
  output: TensorConfig[];
  instance_group: { name: string; kind: 'KIND_CPU' | 'KIND_GPU'; count: number }[];
  /** Empty: it is a graph. */
  default_model_filename: string;
  /** Of a graph. */
  ensemble_scheduling?: { step: EnsembleStep[] };
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
    const { name: model, signature, revision } = catalog.find(name, version);
    const graph = this.placement.placement?.graphs?.find((plan) => plan.revision === revision);
    const revisions = graph?.steps.map((step) => step.revision) ?? [revision];
    const workers = this.placement.workers().filter(({ lane }) => lane === 'realtime');
    const rowsOf = (worker: WorkerPlan, each: number): number[] => {
      const plan = planOf(worker, each);
      return plan === undefined ? [] : [plan.runRowsMax ?? this.config.realtime.runRowsMax];
    };
    const rowsMax = revisions.map((each) => Math.max(1, ...workers.flatMap((worker) => rowsOf(worker, each))));
    const isBatched = hasBatchFirst(signature);
    const own = workers.filter((worker) => planOf(worker, revision) !== undefined);
    return {
      name: model,
      platform: graph === undefined ? 'onnxruntime_onnx' : 'ensemble',
      backend: graph === undefined ? 'onnxruntime' : '',
      version_policy: { all: {} },
      max_batch_size: isBatched ? Math.min(...rowsMax) : 0,
      input: signature.inputs.map((spec) => tensorConfig(spec, isBatched)),
      output: signature.outputs.map((spec) => tensorConfig(spec, isBatched)),
      instance_group: own.map(({ id, cpus, gpu }) => ({ name: id, kind: gpu === null ? 'KIND_CPU' : 'KIND_GPU', count: cpus.length })),
      default_model_filename: graph === undefined ? 'model.onnx' : '',
      ...(graph !== undefined && { ensemble_scheduling: { step: graph.steps.map(ensembleStep) } }),
      ...(graph === undefined &&
        signature.coalesce !== 'alone' && { dynamic_batching: { preferred_batch_size: [], max_queue_delay_microseconds: 0 } }),
    };
  }
}

function ensembleStep({ model, version, inputMap, outputMap }: GraphStepPlan): EnsembleStep {
  return { model_name: model, model_version: Number(version), input_map: inputMap, output_map: outputMap };
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
