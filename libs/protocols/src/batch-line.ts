import { expectObject, expectString, mismatch, quote } from './checks';
import { joinOrganisation } from './endpoint';

export const CUSTOM_ID_CHARACTERS_MAX = 512;

/** One line of a batch's input file (docs/protocols.md §9.3). */
export interface BatchLine {
  customId: string;
  body: unknown;
}

/**
 * Checks one parsed line against the batch's endpoint. `body` is checked when the row is run. Throws an
 * `invalid_request` whose `param` is the field.
 */
export function checkBatchLine(line: unknown, endpointUrl: string): BatchLine {
  const object = expectObject(line, 'line');
  const customId = expectString(object.custom_id, 'custom_id');
  if (customId === '' || customId.length > CUSTOM_ID_CHARACTERS_MAX)
    throw mismatch(`1 to ${CUSTOM_ID_CHARACTERS_MAX} characters`, 'custom_id', customId);
  if (object.method !== 'POST') throw mismatch('"POST"', 'method', object.method);
  if (!isSameUrl(object.url, endpointUrl)) throw mismatch(`${quote(endpointUrl)}, the endpoint of the batch,`, 'url', object.url);
  return { customId, body: expectObject(object.body, 'body') };
}

/** An organisation's slash may be plain in one of the two and encoded in the other. */
function isSameUrl(url: unknown, endpointUrl: string): boolean {
  return url === endpointUrl || (typeof url === 'string' && joinOrganisation(url) === joinOrganisation(endpointUrl));
}
