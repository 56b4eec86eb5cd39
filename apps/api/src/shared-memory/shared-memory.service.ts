import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import type { SharedMemory } from '@app/protocols';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { callerOf } from '../access/caller';
import { CONFIG } from '../tokens';
import { SharedRegions } from './shared-regions';

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

/** Who may use shared memory: callers on this machine, once `http.sharedMemory` is set; each the regions of its tenant. */
@Injectable()
export class SharedMemoryService implements OnApplicationShutdown {
  readonly regions = new SharedRegions();

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  onApplicationShutdown(): void {
    this.regions.close();
  }

  /** Throws `not_supported` while it is off, and `forbidden` for a caller elsewhere. Returns the caller's tenant. */
  tenantOf(request: FastifyRequest): string {
    if (!this.config.http.sharedMemory)
      throw new InterleaveError(
        'not_supported',
        'System shared memory is off; set http.sharedMemory: true in interleave.yaml, or send tensors in the binary part of the body',
      );
    const { headers, socket } = request;
    const isLocal =
      LOOPBACK.test(socket.remoteAddress ?? '') && headers['x-forwarded-for'] === undefined && headers.forwarded === undefined;
    if (isLocal) return callerOf(request).tenant;
    throw new InterleaveError('forbidden', 'System shared memory is for callers on this machine that connect to it by a loopback address');
  }

  /** What an infer request may use, and whether it has. */
  of(request: FastifyRequest): SharedMemory & { isUsed(): boolean } {
    let isUsed = false;
    const tenant = (): string => {
      isUsed = true;
      return this.tenantOf(request);
    };
    return {
      placeOf: (part) => this.regions.placeOf(tenant(), part),
      read: (part) => {
        const owner = tenant();
        this.regions.placeOf(owner, part);
        request.holdBytes(part.bytes);
        return this.regions.read(owner, part);
      },
      write: (part, data) => this.regions.write(tenant(), part, data),
      isUsed: () => isUsed,
    };
  }
}
