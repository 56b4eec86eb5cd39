import type { MethodDefinition, Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { DEFINITIONS } from './definitions';

/** Server reflection, v1 and v1alpha. */
export function addReflection(server: Server): void {
  const target = { addService: (service: ServiceDefinition, calls: UntypedServiceImplementation) => server.addService(lenient(service), calls) };
  new ReflectionService(DEFINITIONS).addToServer(target as Server);
}

/** What is no request is answered as one that asks for nothing: grpc-js would call it an internal error. */
function lenient(service: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]): [string, MethodDefinition<unknown, unknown>] => [
      name,
      { ...method, requestDeserialize: (bytes: Buffer): unknown => attempt(() => method.requestDeserialize(bytes) as unknown) ?? {} },
    ]),
  );
}

function attempt(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return null;
  }
}
