import { VERSION, InterleaveError } from '@app/contracts';
import { visibleModels, type ModelView } from '@app/models';
import { CONTENT_HEADER, CONTENT_PARAMETER } from '@app/protocols';
import type { Metadata } from '@grpc/grpc-js';
import { Inject, Injectable } from '@nestjs/common';
import { notAnOperator, type Caller } from '../access/caller';
import { Readiness } from '../health/readiness';
import { entriesIfAny } from '../live/model-entries';
import { modelMetadata } from '../live/open-inference/model-metadata';
import { extensionsOf } from '../live/open-inference/extensions';
import { ModelConfigs } from '../live/open-inference/model-config';
import { LiveStatistics } from '../live/open-inference/model-statistics';
import { repositoryIndex } from '../live/open-inference/repository-index';
import { ModelCommands } from '../repository/model-commands';
import { CATALOG } from '../tokens';
import { ModelContents } from './model-contents';

/** What the requests of these calls may say. An empty version: any; an empty name where all models may be meant: all. */
interface InfoRequest {
  name: string;
  version: string;
  ready: boolean;
  model_name: string;
  repository_name: string;
  parameters: Record<string, unknown>;
}

/** Tensors are binary in gRPC without an extension, and there is no shared memory. */
const EXTENSIONS = extensionsOf({ sharedMemory: false }).filter((name) => name !== 'binary_tensor_data');

/** Answers a request with a message of inference.proto, or throws, or rejects. */
type InfoCall = (request: InfoRequest, catalog: ModelView, caller: Caller, metadata: Metadata) => object | Promise<object>;

/** What callers of gRPC may ask about the server and its models. */
@Injectable()
export class InfoCalls {
  constructor(
    private readonly readiness: Readiness,
    @Inject(CATALOG) private readonly catalog: ModelView,
    private readonly statistics: LiveStatistics,
    private readonly configs: ModelConfigs,
    private readonly commands: ModelCommands,
    private readonly contents: ModelContents,
  ) {}

  /** The answer to a call of `GRPCInferenceService`; throws for one that is not there. */
  answer(name: string, request: unknown, caller: Caller, metadata: Metadata): object | Promise<object> {
    const call = this.calls[name];
    if (call === undefined) throw notSupported(name);
    return call(request as InfoRequest, visibleModels(this.catalog, caller.models), caller, metadata);
  }

  private async command(
    { model_name: model, repository_name: repository, parameters }: InfoRequest,
    caller: Caller,
    obey: (model: string, parameters: object) => Promise<void>,
  ): Promise<object> {
    if (!caller.isOperator) throw notAnOperator();
    checkRepository(repository);
    await obey(model, parameters);
    return {};
  }

  /** With the digest of the model's files for other nodes, which ask for it: reading them may take seconds. */
  private async config({ name, version: asked }: InfoRequest, catalog: ModelView, metadata: Metadata): Promise<object> {
    const version = asked || null;
    const config = this.configs.of(catalog, name, version);
    if (metadata.get(CONTENT_HEADER).length === 0) return { config };
    const content = await this.contents.of(catalog.find(name, version).revision);
    return { config: { ...config, ...(content !== null && { parameters: { [CONTENT_PARAMETER]: { string_value: content } } }) } };
  }

  private readonly calls: Partial<Record<string, InfoCall>> = {
    ServerLive: () => ({ live: true }),
    ServerReady: () => ({ ready: this.readiness.missing() === null }),
    ServerMetadata: () => ({
      name: 'interleave',
      version: VERSION,
      extensions: EXTENSIONS,
    }),
    // As in Triton: what is not there is not ready, which is an answer.
    ModelReady: ({ name, version }, catalog) => ({
      ready: entriesIfAny(catalog, name, version || null).some(({ state }) => state === 'ready'),
    }),
    ModelMetadata: ({ name, version }, catalog) => modelMetadata(catalog, name, version || undefined)[0],
    ModelStatistics: ({ name, version }, catalog) => this.statistics.statistics(catalog, name || null, version || null),
    ModelConfig: (request, catalog, _caller, metadata) => this.config(request, catalog, metadata),
    RepositoryIndex: ({ ready }, catalog) => ({ models: repositoryIndex(catalog, ready) }),
    RepositoryModelLoad: (request, _catalog, caller) => this.command(request, caller, (...of) => this.commands.load(...of)),
    RepositoryModelUnload: (request, _catalog, caller) => this.command(request, caller, (...of) => this.commands.unload(...of)),
  };
}

function checkRepository(name: string): void {
  if (name === '') return;
  throw new InterleaveError('not_supported', 'expected no repository_name because a node has one repository; leave it out', {
    param: 'repository_name',
  });
}

/** For calls of Triton's that are not there. */
function notSupported(name: string): InterleaveError {
  return new InterleaveError(
    'not_supported',
    `${name} is a call of Triton that this version does not have; docs/protocols.md lists those that it has`,
  );
}
