import { InterleaveError, type InferenceBackend } from '@app/contracts';
import { splitLabel, visibleModels, type ModelView } from '@app/models';
import { status, type ServerWritableStream } from '@grpc/grpc-js';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { Readiness } from '../health/readiness';
import { entriesIfAny } from '../live/model-entries';
import { BACKEND, CATALOG } from '../tokens';

type ServingStatus = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
export type Watcher = ServerWritableStream<Buffer, { status: ServingStatus }>;

/** Streams that wait for changes, of all callers. */
const WATCHERS_MAX = 1024;
/** Of these, from one address: they need no key. */
const ADDRESS_WATCHERS_MAX = 256;
/** What is not told, such as a new placement, is seen after this long. */
const LOOK_MS = 1000;

/** `grpc.health.v1`: "" is the server as a whole, any other service the model of that name, which may end with a label. */
@Injectable()
export class GrpcHealth implements OnModuleInit, OnModuleDestroy {
  /** With what each was told last. */
  private readonly watchers = new Map<Watcher, { service: string; address: string; told: ServingStatus }>();
  private stopListening: () => void = () => undefined;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly readiness: Readiness,
    @Inject(CATALOG) private readonly catalog: ModelView,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
  ) {}

  onModuleInit(): void {
    this.stopListening = this.backend.onModelsChanged(() => this.tell());
    this.timer = setInterval(() => this.tell(), LOOK_MS).unref();
  }

  onModuleDestroy(): void {
    this.stopListening();
    if (this.timer !== null) clearInterval(this.timer);
  }

  /** `models`: those that the caller may know of; null: all. */
  check(service: string, models: readonly string[] | null): { status: ServingStatus } {
    const found = mayKnow(service, models) ? this.statusOf(service) : 'SERVICE_UNKNOWN';
    if (found === 'SERVICE_UNKNOWN') throw unknownService();
    return { status: found };
  }

  /** `models`: those that the caller may know of; null: all. */
  list(models: readonly string[] | null): object {
    const services = [
      '',
      ...new Set(
        visibleModels(this.catalog, models)
          .list()
          .map(({ name }) => name),
      ),
    ];
    return { statuses: Object.fromEntries(services.map((service) => [service, { status: this.statusOf(service) }])) };
  }

  /** Ends with `not_found` where the caller may not know of the model. `models`: as in `check`. */
  watch(call: Watcher, service: string, models: readonly string[] | null): void {
    if (!mayKnow(service, models)) throw unknownService();
    const address = addressOf(call.getPeer());
    const refuse = (limit: string): void =>
      void call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `expected at most ${limit} at once; use Check` });
    if (this.watchers.size === WATCHERS_MAX) return refuse(`${WATCHERS_MAX} watches`);
    const ofAddress = [...this.watchers.values()].filter((watched) => watched.address === address).length;
    if (ofAddress === ADDRESS_WATCHERS_MAX) return refuse(`${ADDRESS_WATCHERS_MAX} watches from one address`);
    const told = this.statusOf(service);
    this.watchers.set(call, { service, address, told });
    call.once('cancelled', () => this.watchers.delete(call));
    call.write({ status: told });
  }

  /** Tells all that this server serves no more, and ends their streams. */
  drain(): void {
    this.tell();
    for (const call of this.watchers.keys()) call.end();
    this.watchers.clear();
  }

  private tell(): void {
    for (const [call, watched] of this.watchers) {
      const now = this.statusOf(watched.service);
      // A caller that does not read gets the newest once it does.
      if (now === watched.told || call.writableNeedDrain) continue;
      watched.told = now;
      call.write({ status: now });
    }
  }

  private statusOf(service: string): ServingStatus {
    const missing = this.readiness.missing();
    if (service === '') return missing === null ? 'SERVING' : 'NOT_SERVING';
    const entries = entriesIfAny(this.catalog, service, null);
    if (entries.length === 0) return 'SERVICE_UNKNOWN';
    return !this.readiness.draining && entries.some(({ state }) => state === 'ready') ? 'SERVING' : 'NOT_SERVING';
  }
}

/** Whether somebody may know of a service who may know of these models; null: all. */
const mayKnow = (service: string, models: readonly string[] | null): boolean =>
  service === '' || models === null || models.includes(splitLabel(service).model);

/** `peer`: address and port. */
const addressOf = (peer: string): string => peer.replace(/:\d+$/, '');

function unknownService(): InterleaveError {
  return new InterleaveError('not_found', 'No such service: expected an empty name or the name of a model');
}
