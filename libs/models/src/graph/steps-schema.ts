import { z } from 'zod';
import { modelVersionSchema } from '../model-version';

/** More steps are no ensemble but a mistake. */
const STEPS_MAX = 64;
const TENSORS_MAX = 256;

const tensorName = z.string().min(1).max(256);
const tensorMap = z
  .record(tensorName, tensorName)
  .refine((map) => Object.keys(map).length <= TENSORS_MAX, `expected at most ${TENSORS_MAX} tensors`);
const modelName = z.string().min(1).max(512);
const version = modelVersionSchema.optional();
const maps = { input_map: tensorMap, output_map: tensorMap };

const STEP_FORM =
  "expected { model: NAME, input_map: { <the model's input>: <tensor> }, output_map: { <the model's output>: <tensor> } }, " +
  "version: '1' as needed; tokenizer: NAME or head: NAME in place of model; " +
  'fleet: true beside model and version where other nodes may run it';
const stepSchema = z.union(
  [
    z.strictObject({ model: modelName, version, fleet: z.boolean().optional(), ...maps }),
    z.strictObject({ tokenizer: modelName, version, ...maps }),
    z.strictObject({ head: modelName, version, ...maps }),
  ],
  STEP_FORM,
);

/** `model.yaml: steps`: the model is a graph of others. */
export const stepsSchema = z.array(stepSchema).min(1).max(STEPS_MAX);
/** `model.yaml: outputs`: which tensors of the graph are its outputs, in their order. */
export const outputsSchema = z.array(tensorName).min(1).max(TENSORS_MAX);

export type StepOfFile = z.infer<typeof stepSchema>;
