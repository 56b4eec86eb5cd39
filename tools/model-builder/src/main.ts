import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { builderFingerprint, isUpToDate, writeModel, type ModelFiles } from './files';
import { encoderSmall, encoderTiny } from './text-models';

/** Every model that can be built, by the name of its folder. */
export const MODELS: Record<string, () => ModelFiles> = {
  'encoder-tiny': encoderTiny,
  'encoder-small': encoderSmall,
};

/** Builds the named models (default: all) into folders under `out`; returns the names of those that were not up to date. */
export function buildModels(out: string, names: string[] = Object.keys(MODELS)): string[] {
  const fingerprint = builderFingerprint();
  return names.filter((name) => {
    const build = MODELS[name];
    if (build === undefined) throw new Error(`expected one of ${Object.keys(MODELS).join(', ')} for --models but received "${name}"`);
    const folder = join(out, name);
    if (isUpToDate(folder, fingerprint)) return false;
    writeModel(folder, build(), fingerprint);
    return true;
  });
}

function main(): void {
  const { values } = parseArgs({ options: { out: { type: 'string' }, models: { type: 'string' } } });
  if (values.out === undefined) throw new Error('usage: model-builder --out DIR [--models a,b]');
  const built = buildModels(resolve(values.out), values.models?.split(','));
  console.log(built.length === 0 ? 'models are up to date' : `built ${built.join(', ')}`);
}

if (require.main === module) {
  try {
    main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
