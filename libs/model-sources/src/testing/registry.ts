import { createHash } from 'node:crypto';
import { Header } from 'tar';
import type { ModelFiles } from '../../../../tools/model-builder/src/files';
import { sendFile, sendJson, WebServer } from './web-server';

export const IMAGE_LAYER = 'application/vnd.oci.image.layer.v1.tar';
export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX = 'application/vnd.oci.image.index.v1+json';

export const digestOf = (content: Uint8Array): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;

export interface TarEntry {
  path: string;
  content?: Uint8Array;
  /** As `tar` names them; default: File. */
  type?: 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'FIFO';
  linkpath?: string;
}

/** An archive with any names, also those that no program would write. */
export function tarOf(entries: TarEntry[]): Buffer {
  const parts = entries.flatMap(({ path, content = Buffer.of(), type = 'File', linkpath }) => {
    const header = new Header({
      path,
      size: content.length,
      type,
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: new Date(0),
      ...(linkpath === undefined ? {} : { linkpath }),
    });
    const block = Buffer.alloc(512);
    header.encode(block, 0);
    return [block, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** Files below /models, with what an image has around them. */
export function imageOf(files: ModelFiles): Buffer {
  const inModels = Object.entries(files).map(([path, content]) => ({ path: `models/${path}`, content }));
  return tarOf([
    { path: 'etc/', type: 'Directory' },
    { path: 'etc/passwd', content: Buffer.from('root') },
    { path: 'bin/sh', type: 'SymbolicLink', linkpath: '/bin/busybox' },
    { path: 'models/', type: 'Directory' },
    ...inModels,
  ]);
}

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
  platform?: { os: string; architecture: string };
}

/** What a registry holds; what is put is found by its digest. */
export class Contents {
  readonly blobs = new Map<string, Uint8Array>();
  readonly manifests = new Map<string, { type: string; bytes: Buffer }>();

  blob(mediaType: string, content: Uint8Array, annotations?: Record<string, string>): Descriptor {
    const digest = digestOf(content);
    this.blobs.set(digest, content);
    return { mediaType, digest, size: content.length, ...(annotations === undefined ? {} : { annotations }) };
  }

  manifest(reference: string, value: object, type = MANIFEST): Descriptor {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, ...value }));
    const digest = digestOf(bytes);
    for (const name of [reference, digest]) this.manifests.set(name, { type, bytes });
    return { mediaType: type, digest, size: bytes.length };
  }

  /** An image of these layers. */
  image(reference: string, layers: Descriptor[]): Descriptor {
    const config = this.blob('application/vnd.oci.image.config.v1+json', Buffer.from('{}'));
    return this.manifest(reference, { config, layers });
  }
}

export interface TestRegistry {
  registry: WebServer;
  storage: WebServer;
  contents: Contents;
  stop(): Promise<void>;
}

export const LOGIN = Buffer.from('someone:secret-password').toString('base64');
const PULL_TOKEN = 'short-lived-token';

/** Speaks the part of the distribution specification by which images are pulled; blobs lie on another host. `secured`: a token is needed. */
export async function startRegistry(repository: string, secured: boolean): Promise<TestRegistry> {
  const contents = new Contents();
  const storage = await WebServer.start((request, response, url) => {
    const content = contents.blobs.get(url.pathname.slice(1));
    if (content === undefined) response.writeHead(404).end();
    else sendFile(request, response, content);
  });
  const registry: WebServer = await WebServer.start((request, response, url) => {
    const { authorization } = request.headers;
    if (url.pathname === '/token') {
      const isKnown = authorization === `Basic ${LOGIN}` && url.searchParams.get('scope') === `repository:${repository}:pull`;
      if (isKnown) return sendJson(response, { token: PULL_TOKEN });
      return void response.writeHead(401).end();
    }
    if (secured && authorization !== `Bearer ${PULL_TOKEN}`)
      return void response.writeHead(401, { 'www-authenticate': `Bearer realm="${registry.url}/token",service="test"` }).end();
    const [, kind, reference = ''] = new RegExp(`^/v2/${repository}/(manifests|blobs)/(.*)$`).exec(url.pathname) ?? [];
    if (kind === 'blobs' && contents.blobs.has(reference))
      return void response.writeHead(307, { location: `${storage.url}/${reference}?signature=secret` }).end();
    const found = kind === 'manifests' ? contents.manifests.get(reference) : undefined;
    if (found === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': found.type, 'docker-content-digest': digestOf(found.bytes) }).end(found.bytes);
  });
  return {
    registry,
    storage,
    contents,
    stop: async () => {
      await registry.stop();
      await storage.stop();
    },
  };
}
