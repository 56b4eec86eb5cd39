import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { CarriedValue } from './candidates';
import { stageSettings, writePipeline } from './model-folders';
import type { Stage } from './stages';

const value = (name: string, dims: string[]): CarriedValue => ({ name, elementType: 1, datatype: 'FP32', dims, bytes: 4 });
const stage = (takes: CarriedValue[]): Stage => ({
  part: { nodes: [], weights: [], inputs: [], outputs: [] },
  takes,
  gives: [],
  inputs: [],
  outputs: [],
});

describe('model.yaml of a stage', () => {
  const hidden = stage([value('hidden', ['batch', 'sequence', 'other'])]);

  it('pads the axes that the whole pads and no others', () => {
    expect(stageSettings(hidden, {}, ['sequence', 'elsewhere'])).toMatchObject({ paddingIsSafe: true, axes: { sequence: ['sequence'] } });
  });

  it('keeps the names that the whole gives the inputs of the stage', () => {
    const own = { ...hidden, inputs: ['ids'] };
    const axes = { batch: 'rows', inputs: { ids: ['rows', null], others: ['rows'] } };
    expect(stageSettings(own, { axes }, [])).toEqual({
      axes: { batch: 'rows', inputs: { ids: ['rows', null], hidden: ['batch', 'sequence', 'other'] } },
    });
  });

  it('says nothing of padding where the whole pads nothing that the stage has', () => {
    for (const padded of [[], ['elsewhere']])
      expect(stageSettings(hidden, { paddingIsSafe: true }, padded)).toEqual({
        axes: { inputs: { hidden: ['batch', 'sequence', 'other'] } },
      });
    expect(stageSettings(hidden, { paddingIsSafe: false }, [])).toMatchObject({ paddingIsSafe: false });
  });
});

describe('model.yaml of a pipeline', () => {
  const root = mkdtempSync(join(tmpdir(), 'il-pipeline-'));
  afterAll(() => rmSync(root, { recursive: true }));

  it('says of equal inputs what its stages say, or it would be refused', () => {
    const folder = join(root, 'm');
    mkdirSync(folder);
    writeFileSync(join(folder, 'model.yaml'), 'deduplicate: false\nrunRowsMax: 4\n');
    const files = { folder, versionFolder: folder, version: '1', graph: join(folder, 'model.onnx') };
    writePipeline(join(root, 'm-pipeline'), 'm', [stage([])], files, ['y']);
    expect(parse(readFileSync(join(root, 'm-pipeline', 'model.yaml'), 'utf8'))).toMatchObject({ deduplicate: false, outputs: ['y'] });
    expect(stageSettings(stage([]), { deduplicate: false }, [])).toEqual({ deduplicate: false });
  });
});
