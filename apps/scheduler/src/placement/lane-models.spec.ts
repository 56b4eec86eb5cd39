import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { laneModels } from './lane-models';

describe('models of the lanes', () => {
  const modelsDir = join(mkdtempSync(join(tmpdir(), 'il-lane-models-')), 'models');
  afterAll(() => rmSync(modelsDir, { recursive: true }));

  it('are missed where there are none', () => {
    const config = { ...loadConfig({}), modelsDir };
    const warningsNow = (): string[] => laneModels(config, () => 1).warnings;
    expect(warningsNow()).toEqual([`MODELS_DIR ${modelsDir} does not exist, so there is no model to serve`]);
    mkdirSync(modelsDir);
    expect(warningsNow()).toEqual([`MODELS_DIR ${modelsDir} has no model to serve`]);
  });
});
