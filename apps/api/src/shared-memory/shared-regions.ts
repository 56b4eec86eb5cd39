import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { InterleaveError } from '@app/contracts';
import type { SharedPart, SharedPlace } from '@app/protocols';

/** Where Linux keeps POSIX shared memory objects. */
const FOLDER = '/dev/shm';
const REGION_NAME = /^[A-Za-z0-9._-]{1,128}$/;
const OBJECT_NAME = /^\/?(?!\.{1,2}$)([A-Za-z0-9._-]{1,254})$/;
/** Each keeps a file open. */
const REGIONS_MAX = 256;

/** As Triton's status tells it. */
export interface RegionStatus {
  name: string;
  key: string;
  offset: number;
  byte_size: number;
}

interface Region extends RegionStatus {
  tenant: string;
  fd: number;
}

/**
 * The regions of POSIX shared memory that callers have registered, each visible to its tenant only. They are read and written
 * as files and never mapped, so an owner that makes one smaller does no harm. Closed with `close`. Event loop only.
 */
export class SharedRegions {
  private readonly regions = new Map<string, Region>();

  /** `folder`: for tests. */
  constructor(private readonly folder = FOLDER) {}

  /** Throws `invalid_request` for what is no such object of this user, and `conflict` for a name in use and when full. */
  register(tenant: string, name: string, request: Record<string, unknown>): void {
    if (!REGION_NAME.test(name)) throw refuse(`expected a name of 1 to 128 letters, digits, ".", "_" and "-" for the region`, 'name');
    if (this.regions.has(keyOf(tenant, name)))
      throw new InterleaveError('conflict', `the shared memory region "${name}" is registered already; unregister it first`);
    if (this.regions.size >= REGIONS_MAX)
      throw new InterleaveError('conflict', `${REGIONS_MAX} shared memory regions are registered already; unregister some`);
    const key = typeof request['key'] === 'string' ? OBJECT_NAME.exec(request['key'])?.[1] : undefined;
    if (key === undefined) throw refuse(`expected the name of an object in ${FOLDER} without further slashes for key`, 'key');
    const offset = sizeOf(request['offset'] ?? 0, 'offset', 0);
    const bytes = sizeOf(request['byte_size'], 'byte_size', 1);
    const fd = openObject(join(this.folder, key));
    try {
      checkObject(fd, offset, bytes);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    this.regions.set(keyOf(tenant, name), { tenant, name, key: request['key'] as string, offset, byte_size: bytes, fd });
  }

  /** Name null: all of the tenant. Nothing happens where there is none. */
  unregister(tenant: string, name: string | null): void {
    for (const [key, region] of this.regions) {
      if (region.tenant !== tenant || (name !== null && region.name !== name)) continue;
      this.regions.delete(key);
      closeSync(region.fd);
    }
  }

  /** Throws `not_found` for a name that is not registered. */
  status(tenant: string, name: string | null): RegionStatus[] {
    const found = [...this.regions.values()].filter((region) => region.tenant === tenant && (name === null || region.name === name));
    if (found.length === 0 && name !== null)
      throw new InterleaveError('not_found', `the shared memory region ${JSON.stringify(name.slice(0, 128))} is not registered`);
    return found.map(({ name: own, key, offset, byte_size }) => ({ name: own, key, offset, byte_size }));
  }

  /** Throws `invalid_request` when the region is not there or too small. */
  placeOf(tenant: string, part: SharedPart): SharedPlace {
    const { fd, offset } = this.find(tenant, part);
    const { dev, ino } = fstatSync(fd);
    return { object: `${dev} ${ino}`, offset: offset + part.offset };
  }

  read(tenant: string, part: SharedPart): Buffer {
    const { fd, offset } = this.find(tenant, part);
    const copy = Buffer.allocUnsafeSlow(part.bytes);
    for (let done = 0; done < copy.length;) {
      const bytes = readSync(fd, copy, done, copy.length - done, offset + part.offset + done);
      if (bytes === 0) throw shrunk(part);
      done += bytes;
    }
    return copy;
  }

  write(tenant: string, part: SharedPart, data: Uint8Array): void {
    const { fd, offset } = this.find(tenant, part);
    const start = offset + part.offset;
    // Writing past its end would make the object larger.
    if (fstatSync(fd).size < start + data.byteLength) throw shrunk(part);
    for (let done = 0; done < data.byteLength;) done += writeSync(fd, data, done, data.byteLength - done, start + done);
  }

  close(): void {
    for (const { fd } of this.regions.values()) closeSync(fd);
    this.regions.clear();
  }

  private find(tenant: string, { region: name, offset, bytes, path }: SharedPart): Region {
    const region = this.regions.get(keyOf(tenant, name));
    if (region === undefined)
      throw refuse(`expected a registered region for ${path} but received ${JSON.stringify(name.slice(0, 64))}; register it first`, path);
    if (bytes > region.byte_size || offset > region.byte_size - bytes)
      throw refuse(
        `expected a part of the ${region.byte_size} bytes of the region for ${path} but received ${bytes} from ${offset} on`,
        path,
      );
    return region;
  }
}

function openObject(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    throw refuse(`expected a shared memory object that this node may read and write for key but opening it gave ${code}`, 'key');
  }
}

/** Objects of other users are none of a caller's business, even where this node could open them. */
function checkObject(fd: number, offset: number, bytes: number): void {
  const status = fstatSync(fd);
  if (!status.isFile() || status.uid !== process.geteuid?.())
    throw refuse('expected a shared memory object of the user that this node runs as for key; create it as that user', 'key');
  if (bytes > status.size || offset > status.size - bytes)
    throw refuse(
      `expected offset and byte_size within the ${status.size} bytes of the object but received ${bytes} from ${offset} on`,
      'byte_size',
    );
}

function sizeOf(value: unknown, name: string, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  throw refuse(`expected an integer from ${min} on for ${name}`, name);
}

const keyOf = (tenant: string, name: string): string => `${tenant}\n${name}`;

const shrunk = ({ path }: SharedPart): InterleaveError =>
  refuse(`expected the shared memory object to be as large as when it was registered for ${path} but it is smaller now`, path);

function refuse(message: string, param: string): InterleaveError {
  return new InterleaveError('invalid_request', message, { param });
}
