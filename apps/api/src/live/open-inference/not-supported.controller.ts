import { InterleaveError } from '@app/contracts';
import { All, Controller, Req } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';

const OF_A_MODEL = ['trace/setting', 'generate', 'generate_stream'].flatMap((what) => [
  `models/:model/${what}`,
  `models/:model/versions/:version/${what}`,
]);

/** Triton's extensions that are not there: a client must not take a model or a path for wrong. */
@ApiExcludeController()
@Controller('v2')
export class NotSupportedController {
  @All(['repository/:repository/models/*'])
  refuseRepositories(@Req() request: FastifyRequest): never {
    throw notSupported(request.url, 'a node has one repository; POST to /v2/repository/models/<model>/load or unload');
  }

  @All(['cudasharedmemory/*'])
  refuseCuda(@Req() request: FastifyRequest): never {
    throw notSupported(request.url, 'send tensors in the binary part of the body, or through system shared memory');
  }

  @All([...OF_A_MODEL, 'trace/setting', 'logging'])
  refuse(@Req() request: FastifyRequest): never {
    throw notSupported(request.url, 'GET /v2 lists those that it has');
  }
}

/** For the extension of Triton at this URL. `instead`: what the caller can do. */
function notSupported(url: string, instead: string): InterleaveError {
  const path = (url.split('?', 1)[0] as string).slice(0, 128);
  return new InterleaveError('not_supported', `${path} is an extension of Triton that this version does not have; ${instead}`);
}
