import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildModels } from './models';

function main(): void {
  const { values } = parseArgs({ options: { out: { type: 'string' }, models: { type: 'string' } } });
  if (values.out === undefined) throw new Error('usage: model-builder --out DIR [--models a,b]');
  const built = buildModels(resolve(values.out), values.models?.split(','));
  console.log(built.length === 0 ? 'models are up to date' : `built ${built.join(', ')}`);
}

try {
  main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
