import { InterleaveError } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { Inject, Injectable } from '@nestjs/common';
import { Readiness } from '../health/readiness';
import { entriesOf } from '../live/model-entries';
import { modelMetadata } from '../live/open-inference/model-metadata';
import { CATALOG } from '../tokens';
import { VERSION } from '../version';

/** A model as callers name it; an empty version: any. */
interface NamedModel {
  name: string;
  version: string;
}

/** Answers a request with a message of inference.proto, or throws. */
type InfoCall = (request: NamedModel) => object;

/** What callers of gRPC may ask about the server and its models. */
@Injectable()
export class InfoCalls {
  constructor(
    private readonly readiness: Readiness,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
  ) {}

  /** The answer to a call of `GRPCInferenceService`; throws for one that is not there. */
  answer(name: string, request: unknown): object {
    const call = this.calls[name];
    if (call === undefined) throw notSupported(name);
    return call(request as NamedModel);
  }

  private readonly calls: Partial<Record<string, InfoCall>> = {
    ServerLive: () => ({ live: true }),
    ServerReady: () => ({ ready: this.readiness.missing() === null }),
    ServerMetadata: () => ({ name: 'interleave', version: VERSION, extensions: ['schedule_policy'] }),
    ModelReady: ({ name, version }) => ({
      ready: entriesOf(this.catalog, name, version || undefined).some(({ state }) => state === 'ready'),
    }),
    ModelMetadata: ({ name, version }) => modelMetadata(this.catalog, name, version || undefined)[0],
  };
}

/** For calls of Triton's that are not there. */
function notSupported(name: string): InterleaveError {
  return new InterleaveError(
    'not_supported',
    `${name} is a call of Triton that this version does not have; docs/protocols.md lists those that it has`,
  );
}
