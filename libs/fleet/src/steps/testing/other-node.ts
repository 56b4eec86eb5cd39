import { join } from 'node:path';
import type { NodeHeartbeat } from '@app/contracts';
import { CONTENT_PARAMETER } from '@app/protocols';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO = join(__dirname, '../../../../../apps/api/src/grpc/proto/inference.proto');
const definitions = loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true });
const service = definitions['inference.GRPCInferenceService'] as grpc.ServiceDefinition;

export type Answering = (call: grpc.ServerUnaryCall<object, object>, callback: grpc.sendUnaryData<object>) => void;

/** A server of the protocol that is not ours, with version 1 of the model `m`. */
export class OtherNode {
  calls = 0;
  /** Digest of the model's files. */
  content = 'c0ffee';
  private readonly server = new grpc.Server();

  private constructor(
    private readonly id: string,
    answering: Answering,
    platform: string,
  ) {
    const count: Answering = (call, callback) => {
      this.calls++;
      answering(call, (error, value) => callback(withId(error), value));
    };
    const [inputs, outputs] = ['x', 'y'].map((name) => [{ name, datatype: 'FP32', shape: ['-1'] }]);
    this.server.addService(service, {
      ModelInfer: count,
      ModelMetadata: (_call: unknown, callback: grpc.sendUnaryData<object>) => callback(null, { name: 'm', platform, inputs, outputs }),
      ModelConfig: (_call: unknown, callback: grpc.sendUnaryData<object>) => {
        const parameters = { [CONTENT_PARAMETER]: { string_value: this.content } };
        callback(null, { config: { name: 'm', max_batch_size: 4, dynamic_batching: {}, parameters } });
      },
    });
  }

  static async start(
    id: string,
    answering: Answering,
    settings: { platform?: string; tls?: grpc.ServerCredentials } = {},
  ): Promise<OtherNode> {
    const { platform = 'onnx_onnxv1', tls = grpc.ServerCredentials.createInsecure() } = settings;
    const node = new OtherNode(id, answering, platform);
    node.port = await new Promise((resolve, reject) =>
      node.server.bindAsync('127.0.0.1:0', tls, (error, port) => (error === null ? resolve(port) : reject(error))),
    );
    started.push(node);
    return node;
  }

  private port = 0;

  heartbeat(changes: Partial<NodeHeartbeat> = {}): NodeHeartbeat {
    const { id, port } = this;
    const place = { id, bootId: id, address: '127.0.0.1', ip: '127.0.0.1', httpPort: 1, grpcPort: port, tls: false };
    const state = { version: '0.1.0', formatVersions: {}, state: 'ready' as const, reason: null, stateSinceMs: 1 };
    const load = { liveBacklogMs: 0, utilization: 0, partitions: [], batch: null, warnings: [] };
    return { ...place, ...state, ...load, models: [{ name: 'm', version: '1', state: 'ready' }], ...changes };
  }

  stop(): void {
    this.server.forceShutdown();
  }
}

/** As our nodes answer; `isForeign` errors are those of something else. */
function withId(error: Parameters<grpc.sendUnaryData<object>>[0]): Parameters<grpc.sendUnaryData<object>>[0] {
  if (error === null || 'isForeign' in error) return error;
  const metadata = error.metadata ?? new grpc.Metadata();
  metadata.set('x-request-id', 'req_1');
  return { ...error, metadata };
}

const started: OtherNode[] = [];

/** After each test. */
export function stopOtherNodes(): void {
  for (const node of started.splice(0)) node.stop();
}
