import type { MethodDefinition, Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import type { AnyDefinition, PackageDefinition } from '@grpc/proto-loader';
import { DEFINITIONS } from './definitions';
import { completeFile } from './file-descriptor';

/** Server reflection, v1 and v1alpha. */
export function addReflection(server: Server): void {
  const target = {
    addService: (service: ServiceDefinition, calls: UntypedServiceImplementation) => server.addService(lenient(service), calls),
  };
  new ReflectionService(described(DEFINITIONS)).addToServer(target as Server);
}

function described(definitions: PackageDefinition): PackageDefinition {
  // All definitions of a file have the same list: completing it for each of them took a tenth of a second.
  const completed = new Map<Buffer[], Buffer[]>();
  const completedOf = (files: Buffer[]): Buffer[] => {
    const known = completed.get(files) ?? files.map(completeFile);
    completed.set(files, known);
    return known;
  };
  return Object.fromEntries(
    Object.entries(definitions).map(([name, definition]): [string, AnyDefinition] => [
      name,
      Array.isArray(definition.fileDescriptorProtos)
        ? ({ ...definition, fileDescriptorProtos: completedOf(definition.fileDescriptorProtos) } as AnyDefinition)
        : definition,
    ]),
  );
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
