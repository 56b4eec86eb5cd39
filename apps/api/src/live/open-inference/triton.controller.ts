import { InterleaveError } from '@app/contracts';
import { All, Controller, Req } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';

const OF_A_MODEL = ['config', 'stats', 'trace/setting', 'generate', 'generate_stream'].flatMap((what) => [
  `models/:model/${what}`,
  `models/:model/versions/:version/${what}`,
]);

/** Triton's extensions that are not there: a client must not take a model or a path for wrong. */
@ApiExcludeController()
@Controller('v2')
export class TritonController {
  @All([...OF_A_MODEL, 'repository/*', 'systemsharedmemory/*', 'cudasharedmemory/*', 'trace/setting', 'logging'])
  refuse(@Req() request: FastifyRequest): never {
    throw notSupported(request.url);
  }
}

/** For the extension of Triton at this URL. */
export function notSupported(url: string): InterleaveError {
  const path = (url.split('?', 1)[0] as string).slice(0, 128);
  return new InterleaveError(
    'not_supported',
    `${path} is an extension of Triton that this version does not have; GET /v2 lists those that it has`,
  );
}
