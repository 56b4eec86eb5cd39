import { InterleaveError } from '@app/contracts';
import { expectObject, expectString, mismatch, quote } from './checks';
import { joinOrganisation } from './endpoint';

export const CUSTOM_ID_CHARACTERS_MAX = 512;
/** By code points: of a whole pair neither half is one. */
const LONE_SURROGATE = /\p{Surrogate}/u;

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
  const customId = expectCustomId(object.custom_id);
  checkMethod(object.method);
  checkUrl(object.url, endpointUrl);
  return { customId, body: expectObject(object.body, 'body') };
}

/** All that is wrong with a line around its body, each as `checkBatchLine` would say it; empty: nothing. */
export function findLineFaults(line: Readonly<Record<string, unknown>>, endpointUrl: string): InterleaveError[] {
  const checks = [() => expectCustomId(line['custom_id']), () => checkMethod(line['method']), () => checkUrl(line['url'], endpointUrl)];
  return checks.flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      if (error instanceof InterleaveError) return [error];
      throw error;
    }
  });
}

function expectCustomId(value: unknown): string {
  const customId = expectString(value, 'custom_id');
  if (customId === '' || customId.length > CUSTOM_ID_CHARACTERS_MAX)
    throw mismatch(`1 to ${CUSTOM_ID_CHARACTERS_MAX} characters`, 'custom_id', customId);
  // Half a character cannot be written as UTF-8: several such ids would be one in the results.
  if (LONE_SURROGATE.test(customId)) throw mismatch('whole characters, without half a surrogate pair,', 'custom_id', customId);
  return customId;
}

function checkMethod(value: unknown): void {
  if (value !== 'POST') throw mismatch('"POST"', 'method', value);
}

function checkUrl(value: unknown, endpointUrl: string): void {
  if (!isSameUrl(value, endpointUrl)) throw mismatch(`${quote(endpointUrl)}, the endpoint of the batch,`, 'url', value);
}

/** An organisation's slash may be plain in one of the two and encoded in the other. */
function isSameUrl(url: unknown, endpointUrl: string): boolean {
  return url === endpointUrl || (typeof url === 'string' && joinOrganisation(url) === joinOrganisation(endpointUrl));
}
