import { z } from 'zod';
import { SourceError } from '../source-error';

const LAYERS_MAX = 1000;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const INDEXES = ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'];

const descriptorSchema = z.looseObject({
  mediaType: z.string(),
  digest: z.string().regex(DIGEST, 'expected a digest with SHA-256'),
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).nullish(),
  platform: z.looseObject({ os: z.string(), architecture: z.string() }).nullish(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

const manifestSchema = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  artifactType: z.string().optional(),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).min(1).max(LAYERS_MAX),
});
const indexSchema = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptorSchema).min(1).max(LAYERS_MAX),
});

/** One layer that holds files of the model. */
export interface ModelLayer {
  digest: string;
  bytes: number;
  content: LayerContent;
}

/** `raw`: the layer is one file. `image`: files of a file system, the model is below `models/`. `archive`: files of the model. */
export type LayerContent = { kind: 'raw'; path: string } | { kind: 'image' | 'archive'; gzip: boolean };

export type ParsedManifest = { kind: 'index'; digest: string } | { kind: 'layers'; layers: ModelLayer[] };

/** Reads a manifest or an index, of which one for this machine is taken. Throws a `SourceError` for what is no model. */
export function parseManifest(text: string, from: string): ParsedManifest {
  const value = parsed(text, from);
  const isIndex =
    typeof value === 'object' &&
    value !== null &&
    ('manifests' in value || INDEXES.includes(String((value as { mediaType?: unknown }).mediaType)));
  if (isIndex) return { kind: 'index', digest: forThisMachine(checked(indexSchema, value, from).manifests) };
  const { layers, config, artifactType } = checked(manifestSchema, value, from);
  const isModelPack =
    /^application\/vnd\.cncf\.model\./.test(artifactType ?? '') || /^application\/vnd\.cncf\.model\./.test(config.mediaType);
  const found = layers.flatMap((layer) => (isModelPack ? packLayer(layer, from) : imageLayer(layer, from)));
  if (found.length === 0) throw new SourceError(`${from} has no layer with files of a model`);
  return { kind: 'layers', layers: found };
}

/** Models are the same on every machine; the others of an index may be attestations. */
function forThisMachine(manifests: Descriptor[]): string {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const fits = manifests.find(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture);
  const any = manifests.find(({ platform }) => platform?.os !== 'unknown');
  return (fits ?? any ?? (manifests[0] as Descriptor)).digest;
}

const IMAGE_LAYER =
  /^application\/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[+.](gzip|zstd))?$/;
/** Weights, and what describes them; documents, code and data sets of a ModelPack are left where they are. */
const PACK_LAYER = /^application\/vnd\.cncf\.model\.(weight|weight\.config|doc|code|dataset)\.v1\.(raw|tar)(?:\+(gzip|zstd))?$/;
const FILE_PATH = 'org.cncf.model.filepath';

function imageLayer({ mediaType, digest, size }: Descriptor, from: string): ModelLayer[] {
  const [matched, compression] = IMAGE_LAYER.exec(mediaType) ?? [];
  if (matched === undefined)
    throw new SourceError(
      `${from} has a layer of type ${mediaType}; expected an image with the model below /models, or a ModelPack (application/vnd.cncf.model.…)`,
    );
  return [{ digest, bytes: size, content: { kind: 'image', gzip: isGzip(compression, from) } }];
}

function packLayer({ mediaType, digest, size, annotations }: Descriptor, from: string): ModelLayer[] {
  const [matched, what = '', form, compression] = PACK_LAYER.exec(mediaType) ?? [];
  if (matched === undefined)
    throw new SourceError(`${from} has a layer of type ${mediaType}; expected types of CNCF ModelPack beside each other`);
  if (!what.startsWith('weight')) return [];
  if (form === 'tar') return [{ digest, bytes: size, content: { kind: 'archive', gzip: isGzip(compression, from) } }];
  const path = annotations?.[FILE_PATH];
  if (path === undefined) throw new SourceError(`${from}: the layer ${digest} has no ${FILE_PATH}, so that its file has no name`);
  return [{ digest, bytes: size, content: { kind: 'raw', path } }];
}

function isGzip(compression: string | undefined, from: string): boolean {
  if (compression === 'zstd') throw new SourceError(`${from} has layers in zstd, which are not read; push it with gzip or uncompressed`);
  return compression === 'gzip';
}

function parsed(text: string, from: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new SourceError(`${from}: expected a manifest in JSON`);
  }
}

function checked<T extends z.ZodType>(schema: T, value: unknown, from: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new SourceError(
    `${from}: the manifest cannot be used: ${result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`,
  );
}
