import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '@app/config';
import type { ModelView } from '@app/models';
import {
  jsonLimits,
  parseJsonBodyInSlices,
  prepare,
  prepareInferMessage,
  splitInferBody,
  type Endpoint,
  type InferMessage,
  type JsonLimits,
  type Limits,
  type PreparedRequest,
  type SharedMemory,
  type WireMessage,
} from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { mediaType } from '../http/media-type';
import { unsupportedMediaType } from '../http/error-answer';
import { CONFIG } from '../tokens';

/** Requests that a channel's memory must be able to hold at once, each with inputs and outputs. */
const ITEMS_IN_CHANNEL_MIN = 4;

/** Turns the raw body of a live request into what to run and how to answer: the stage tokenize. */
@Injectable()
export class Preparer {
  private readonly limits: Limits;
  private readonly jsonLimits: JsonLimits;

  constructor(@Inject(CONFIG) config: Config) {
    this.jsonLimits = jsonLimits(config.http);
    this.limits = {
      // A request is queued as a whole or not at all.
      itemsMax: Math.min(config.http.requestItemsMax, config.realtime.queueItemsMax),
      tensorBytesMax: Math.floor(config.realtime.channelBytes / ITEMS_IN_CHANNEL_MIN),
      tensorBytesKey: 'realtime.channelBytes (four times as much)',
    };
  }

  /** A request by gRPC. */
  async prepareMessage(message: InferMessage, catalog: ModelView): Promise<PreparedRequest<WireMessage>> {
    return prepareInferMessage(message, catalog.find(message.model, message.version), this.limits);
  }

  async prepare(
    endpoint: Endpoint,
    bytes: Buffer,
    headers: IncomingHttpHeaders,
    { catalog, sharedMemory }: { catalog: ModelView; sharedMemory?: SharedMemory },
  ): Promise<PreparedRequest> {
    if (endpoint.kind === 'open-inference') {
      const headerLength = headers['inference-header-content-length'];
      const { body, binary } = await splitInferBody(bytes, headerLength === undefined ? null : String(headerLength), this.jsonLimits);
      const { itemsMax, tensorBytesMax, tensorBytesKey } = this.limits;
      return prepare(endpoint, body, binary, catalog, { itemsMax, tensorBytesMax, tensorBytesKey, sharedMemory });
    }
    if (mediaType(headers) === 'application/octet-stream') throw unsupportedMediaType('application/octet-stream');
    return prepare(endpoint, await parseJsonBodyInSlices(bytes, this.jsonLimits), null, catalog, this.limits);
  }
}
