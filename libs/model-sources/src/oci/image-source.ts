import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchFile } from '../fetch-file';
import type { SourceLimits } from '../limits';
import type { FetchProgress, ModelSource } from '../model-source';
import { checkPath } from '../safe-path';
import { checkRoom } from '../disk-room';
import { SourceError } from '../source-error';
import type { ModelUri } from '../uri';
import { credentialsFor } from './credentials';
import { parseManifest, type ModelLayer } from './manifest';
import { RegistryClient } from './registry-client';
import { unpack, type Unpacked } from './unpack';

type ImageUri = Extract<ModelUri, { kind: 'oci' }>;

/** Where an image has its model, as KServe's modelcars do. */
const MODEL_FOLDER = 'models/';
const DOCKER_HUB = { name: 'docker.io', host: 'registry-1.docker.io' };

export interface ImageContext {
  /** As `docker login` writes it. */
  authFile: string;
  /** An empty folder, for layers and what is unpacked of them. */
  scratch: string;
  limits: SourceLimits;
  progress: FetchProgress;
}

/**
 * A model in a registry: an image with the model below /models, or a CNCF ModelPack. Its layers are fetched at once; they are unpacked
 * when their digests have been compared. Its revision is the digest of the manifest, or of the index, that the tag stands for.
 */
export async function openImage(uri: ImageUri, context: ImageContext): Promise<ModelSource> {
  const registry = uri.registry === DOCKER_HUB.name ? DOCKER_HUB.host : uri.registry;
  const name = `oci://${uri.registry}/${uri.repository}`;
  const client = new RegistryClient(registry, uri.repository, credentialsFor(registry, context.authFile), context.limits);
  const top = await client.manifest(uri.digest ?? uri.tag);
  const layers = await layersOf(client, top.text, name);
  const unpacked = await fetchLayers(client, layers, name, context);
  return {
    uri: `${name}${uri.digest === null ? `:${uri.tag}` : `@${uri.digest}`}`,
    revision: top.digest,
    files: [...unpacked].map(([path, { bytes }]) => ({ path, bytes })),
    open: async ({ path }, start) => createReadStream(unpacked.get(path)?.place ?? '', { start }),
  };
}

async function layersOf(client: RegistryClient, text: string, name: string): Promise<ModelLayer[]> {
  const first = parseManifest(text, name);
  if (first.kind === 'layers') return first.layers;
  const second = parseManifest((await client.manifest(first.digest)).text, name);
  if (second.kind === 'layers') return second.layers;
  throw new SourceError(`${name}: its index leads to another index; expected a manifest`);
}

async function fetchLayers(client: RegistryClient, layers: ModelLayer[], name: string, context: ImageContext): Promise<Unpacked> {
  const { limits, scratch } = context;
  const total = layers.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total > limits.bytesMax)
    throw new SourceError(
      `${name} has layers of ${total} bytes, more than the ${limits.bytesMax} that are allowed; allow more with --bytes-max`,
    );
  await mkdir(scratch, { recursive: true });
  // Each layer, and what is unpacked of it.
  await checkRoom(scratch, 2 * total, limits.freeBytesMin);
  const unpacked: Unpacked = new Map();
  let count = 0;
  const place = (): string => join(scratch, `file-${(count += 1)}`);
  for (const layer of layers) await takeLayer(layer, place, unpacked);
  return unpacked;

  async function takeLayer({ digest, bytes, content }: ModelLayer, next: () => string, into: Unpacked): Promise<void> {
    const blob = next();
    const label = content.kind === 'raw' ? checkPath(content.path, name) : `layer ${digest.slice(7, 19)}`;
    const source = { uri: name, open: (_: unknown, start: number) => client.blob(digest, start) };
    await fetchFile(source, { path: label, bytes, sha256: digest.slice('sha256:'.length) }, blob, limits, context.progress);
    if (content.kind === 'raw') {
      into.set(content.path, { place: blob, bytes });
      return;
    }
    const root = content.kind === 'image' ? MODEL_FOLDER : '';
    await unpack(blob, into, { from: name, gzip: content.gzip, root, bytesMax: limits.bytesMax, filesMax: limits.filesMax, place: next });
    await rm(blob);
  }
}
