import { type CancelSignal, InterleaveError, type NodeHeartbeat } from '@app/contracts';
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import type { AccessFiles } from './access-files';

const SERVICE = '/inference.GRPCInferenceService';
/** A node that has gone without a word is noticed so soon. */
const KEEP_ALIVE_MS = 5_000;
const KEEP_ALIVE_ANSWER_MS = 2_000;
const RECONNECT_MS_MAX = 1_000;

/** What these mean is known whoever made them: no time is left, an answer is too large here, a proxy asks for a key. */
const KNOWN_WITHOUT_NODE: ReadonlySet<status | undefined> = new Set([
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
]);

export interface CallOptions {
  /** From now. */
  timeoutMs: number;
  signal: CancelSignal | null;
  metadata: Readonly<Record<string, string>>;
}

/** One connection to the gRPC port of another node. Close it when done. */
export class NodeClient {
  inFlight = 0;
  /** Whether the last call ended without a word of the node: it is frozen, or cannot be reached. */
  isSilent = false;
  private readonly client: Client;

  /** Throws `model_not_servable` where the node wants TLS and the files for it cannot be used. */
  constructor(
    readonly node: Pick<NodeHeartbeat, 'id' | 'address' | 'grpcPort' | 'tls'>,
    private readonly access: AccessFiles,
  ) {
    const { address, grpcPort, tls } = node;
    const host = address.includes(':') ? `[${address}]` : address;
    this.client = new Client(`${host}:${grpcPort}`, tls ? access.tls() : credentials.createInsecure(), {
      'grpc.keepalive_time_ms': KEEP_ALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEP_ALIVE_ANSWER_MS,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
      'grpc.max_receive_message_length': access.answerBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.enable_retries': 0,
    });
  }

  /** The answer to a call of `GRPCInferenceService`. Rejects with an `InterleaveError` that says which node it was. */
  async call(method: string, message: Buffer, { timeoutMs, signal, metadata }: CallOptions): Promise<Buffer> {
    if (signal?.aborted === true) throw new InterleaveError('client_closed', 'the caller has gone');
    const sent = this.metadata(metadata);
    this.inFlight++;
    return new Promise<Buffer>((resolve, reject) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      const deadline = Date.now() + Math.max(1, timeoutMs);
      const call = this.client.makeUnaryRequest(`${SERVICE}/${method}`, asIs, asIs, message, sent, { deadline }, (error, answer) => {
        this.inFlight--;
        signal?.removeEventListener('abort', cancel);
        // A caller that hangs up says nothing of the node.
        if (error?.code !== status.CANCELLED) this.isSilent = isSilence(error);
        if (error === null && answer !== undefined) resolve(answer);
        else reject(this.known(error, signal));
      });
      const cancel = (): void => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  close(): void {
    this.client.close();
  }

  private metadata(options: Readonly<Record<string, string>>): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(options)) metadata.set(name, value);
    const key = this.access.key();
    if (key) metadata.set('x-api-key', key);
    return metadata;
  }

  private known(error: ServiceError | null, signal: CancelSignal | null): InterleaveError {
    const said = `node ${this.node.id}: ${error?.details || 'no answer came'}`;
    const cause = { cause: error };
    const retryAfter = error?.metadata?.get('retry-after')[0]?.toString();
    const again = { ...cause, retryAfterSeconds: Number(retryAfter) || 1 };
    const isHungUp = error?.code === status.CANCELLED && signal?.aborted === true;
    // A broken connection, a proxy or another program made it: the node may answer the next time, and others may now.
    if (!isHungUp && !isOfNode(error) && !KNOWN_WITHOUT_NODE.has(error?.code))
      return new InterleaveError('worker_unavailable', said, again);
    switch (error?.code) {
      case status.INVALID_ARGUMENT:
        return new InterleaveError('invalid_request', said, cause);
      case status.NOT_FOUND:
        return new InterleaveError('model_not_found', said, cause);
      case status.DEADLINE_EXCEEDED:
        return new InterleaveError('deadline_exceeded', said, cause);
      case status.CANCELLED:
        return new InterleaveError('client_closed', said, cause);
      case status.RESOURCE_EXHAUSTED:
        return retryAfter === undefined ? new InterleaveError('too_large', said, cause) : new InterleaveError('overloaded', said, again);
      case status.UNAVAILABLE:
        return new InterleaveError('worker_unavailable', said, again);
      case status.UNAUTHENTICATED:
      case status.PERMISSION_DENIED:
        return new InterleaveError('model_not_servable', `${said}; put a key of that node into FLEET_KEY_FILE of this one`, cause);
      case status.INTERNAL:
        return new InterleaveError('inference_failed', said, cause);
      default:
        return new InterleaveError('internal', said, cause);
    }
  }
}

/** Nodes give every answer an id, errors too; without one the error was made on the way. */
const isOfNode = (error: ServiceError | null): boolean => (error?.metadata?.get('x-request-id').length ?? 0) > 0;

function isSilence(error: ServiceError | null): boolean {
  const isLate = error?.code === status.DEADLINE_EXCEEDED || error?.code === status.UNAVAILABLE;
  return isLate && !isOfNode(error);
}
