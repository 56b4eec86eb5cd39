import { InterleaveError, type UploadPartObject } from '@app/contracts';
import { PART_BYTES_MAX, type PartWriter } from '@app/batches';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf, checkLane } from '../access/caller';
import { ContentDigest } from '../http/content-digest';
import { callForBody } from '../http/early-answer';
import { mediaType, refuseEncoded } from '../http/media-type';
import type { BatchService } from './batch.service';
import { asRefusal, FORM, FORM_BYTES_MAX } from './receive-upload';

const BYTES = 'application/octet-stream';

/** Stores a part of `POST /v1/uploads/{id}/parts`: a form with the file `data`, or the bytes themselves as the body. */
export function receivePart(
  service: BatchService,
  uploadId: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<UploadPartObject> {
  request.refusedBytesMax = Math.max(request.refusedBytesMax, PART_BYTES_MAX + FORM_BYTES_MAX);
  return service.store(() => receive(service, uploadId, request, reply));
}

async function receive(service: BatchService, uploadId: string, request: FastifyRequest, reply: FastifyReply): Promise<UploadPartObject> {
  const caller = callerOf(request);
  checkLane(caller, 'batch');
  refuseEncoded(request.headers);
  const type = mediaType(request.headers);
  if (type !== FORM && type !== BYTES)
    throw new InterleaveError('unsupported_media_type', `Content-Type: expected ${FORM} with the file "data", or ${BYTES}`);
  const announcedBytes = Number(request.headers['content-length'] ?? 0);
  const part = await service.uploads.addPart(uploadId, type === FORM ? announcedBytes - FORM_BYTES_MAX : announcedBytes, caller);
  try {
    const digest = ContentDigest.follow(request.raw);
    callForBody(request, reply.raw);
    await (type === FORM ? receiveForm(part, request) : receiveBytes(part, request));
    await digest?.check();
    return await part.commit();
  } catch (error) {
    await part.discard();
    throw asRefusal(error);
  }
}

async function receiveForm(part: PartWriter, request: FastifyRequest): Promise<void> {
  // As in receive-upload.
  request.isMultipart = () => true;
  for await (const field of request.parts()) {
    if (field.type !== 'file' || field.fieldname !== 'data')
      throw new InterleaveError(
        'invalid_request',
        `Unknown field ${JSON.stringify(field.fieldname.slice(0, 64))}; expected the file "data"`,
        {
          param: 'data',
        },
      );
    for await (const bytes of field.file) await part.write(bytes as Buffer);
  }
}

async function receiveBytes(part: PartWriter, request: FastifyRequest): Promise<void> {
  // A refusal must not destroy the request: its sender is still to read the answer.
  const content = request.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const bytes of content) await part.write(bytes);
}
