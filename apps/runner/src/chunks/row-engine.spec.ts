import { tmpdir } from 'node:os';
import type { InferenceBackend, PlacedVersion, Placement } from '@app/contracts';
import { ContentDigests, openModelCatalog } from '@app/models';
import { createLogger } from '@app/telemetry';
import { ModelPins } from './model-pins';
import { ModelEngine } from './row-engine';

const version = (over: Partial<PlacedVersion>): PlacedVersion => ({
  name: 'ver',
  version: '1',
  serving: null,
  next: null,
  state: 'loading',
  reason: null,
  ...over,
});
const placement: Placement = {
  formatVersion: 1,
  partitions: [],
  workers: [],
  versions: [version({}), version({ version: '2', state: 'failed', reason: 'no tokenizer' })],
  releases: [{ name: 'ver', labels: { old: '1', new: '2' }, canary: null, mirror: null, rollback: null, promote: null }],
};

describe('what is wrong with the model of a batch', () => {
  it.each<[string, string | null, string[] | null, string | null, RegExp]>([
    ['ver', null, null, null, /^$/],
    ['ver:old', null, null, null, /^$/],
    ['ver:old', null, ['ver'], null, /^$/],
    ['ver:new', null, null, 'model_not_servable', /no tokenizer/],
    ['ver', '2', null, 'model_not_servable', /no tokenizer/],
    ['ver:none', null, null, 'model_not_found', /no label "none"; it has old, new/],
    ['ver', '3', null, 'model_not_found', /no version "3"/],
    ['ver:old', '1', null, 'invalid_request', /a label or a version/],
    ['ver:old', null, ['other'], 'model_not_found', /no model "ver:old"/],
  ])('%s, version %s, for a key with %j: %s', async (model, wanted, models, code, message) => {
    const log = createLogger('test', 'silent');
    const catalog = await openModelCatalog(tmpdir(), 'batch', log, { placement, onChange: () => undefined });
    const pins = new ModelPins(
      catalog,
      () => [],
      new ContentDigests(tmpdir(), log),
      () => false,
    );
    // No row runs here.
    const engine = new ModelEngine(catalog, {} as InferenceBackend, { itemsMax: 1, tensorBytesMax: 1 }, pins);
    const problem = engine.modelProblem(model, wanted, models);
    expect([problem?.code ?? null, problem?.message ?? '']).toEqual([code, expect.stringMatching(message)]);
  });
});
