import { join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';
import { protoPath as HEALTH_PROTO } from 'grpc-health-check';

/** Field names as in the file; 64-bit integers and enums as text. */
const AS_WRITTEN: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

const INFERENCE = 'inference.GRPCInferenceService';
const HEALTH = 'grpc.health.v1.Health';

/** The paths of calls that carry tensors. */
export const INFER_PATHS: ReadonlySet<string> = new Set([`/${INFERENCE}/ModelInfer`, `/${INFERENCE}/ModelStreamInfer`]);

/** All that is served, for reflection. */
export const DEFINITIONS: PackageDefinition = {
  ...loadSync(join(__dirname, 'proto', 'inference.proto'), AS_WRITTEN),
  ...loadSync(HEALTH_PROTO, AS_WRITTEN),
};

export const inferenceService = (): ServiceDefinition => serviceOf(INFERENCE);
export const healthService = (): ServiceDefinition => serviceOf(HEALTH);

function serviceOf(name: string): ServiceDefinition {
  return DEFINITIONS[name] as ServiceDefinition;
}

/** Requests come as their bytes, so that the handler says what is wrong with them. */
export function withRawRequests(service: ServiceDefinition): ServiceDefinition {
  const raw = (bytes: Buffer): Buffer => bytes;
  return Object.fromEntries(
    Object.entries(service).map(([name, method]): [string, MethodDefinition<unknown, unknown>] => [
      name,
      INFER_PATHS.has(method.path)
        ? // Answers are `WireMessage`s, of which grpc-js uses what they have in common with a Buffer: they are copied once.
          { ...method, requestDeserialize: raw, responseSerialize: (message: unknown) => message as Buffer }
        : { ...method, requestDeserialize: raw },
    ]),
  );
}
