import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ELSEWHERE, type ModelReport, type ModelSignature } from '@app/contracts';
import { ContentDigests, fingerprintOfVersion, openModelCatalog, type ModelCatalog } from '@app/models';
import { createLogger } from '@app/telemetry';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { ModelPins, PinGone, type PlannedModel } from './model-pins';

const MODEL = 'no-batch';
const SIGNATURE: ModelSignature = { inputs: [], outputs: [], coalesce: 'alone', coalesceReason: 'test' };
const log = createLogger('test', 'silent');
const report = (revision: number, reason: string | null = null): ModelReport => {
  const state = reason === null ? 'ready' : 'failed';
  return { name: MODEL, version: '1', revision, state, reason, cost: null, signature: SIGNATURE };
};

const refusal = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

describe('ModelPins', () => {
  const roots: string[] = [];
  let planned: PlannedModel[];
  let catalog: ModelCatalog;
  let quarantined: string | null;
  beforeEach(() => (quarantined = null));
  afterEach(() => roots.splice(0).forEach((root) => rmSync(root, { recursive: true })));

  const newRoot = (): string => {
    const root = mkdtempSync(join(tmpdir(), 'pins-'));
    roots.push(root);
    return root;
  };
  const plan = (root: string, revision: number): PlannedModel => {
    return { name: MODEL, version: '1', revision, fingerprint: fingerprintOfVersion(root, MODEL, '1') ?? '' };
  };
  /** The pins of a node that has these files as this revision. */
  const open = async (root: string, revision: number): Promise<ModelPins> => {
    planned = [plan(root, revision)];
    catalog = await openModelCatalog(root, 'batch', log);
    catalog.applyReports([report(revision)]);
    return new ModelPins(
      catalog,
      () => planned,
      new ContentDigests(root, log),
      (name) => name === quarantined,
    );
  };
  const built = (): string => {
    const root = newRoot();
    buildModels(root, [MODEL]);
    return root;
  };
  const change = (root: string): void => writeFileSync(join(root, MODEL, 'model.yaml'), 'runRowsMax: 3\n');

  it('knows the same files on another node, under the number that they have there', async () => {
    const root = built();
    const pin = await (await open(root, 1)).pin(MODEL, null, null);
    expect(pin).toMatchObject({ name: MODEL, version: '1', digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
    const other = newRoot();
    cpSync(root, other, { recursive: true });
    const there = await open(other, 7);
    expect(await there.find(pin)).toBe(7);
    expect(there.served(pin)).toMatchObject({ name: MODEL, revision: 7 });
  });

  it('pins a graph by its own files and those that other nodes have for its steps', async () => {
    const root = built();
    const pins = await open(root, 1);
    const elsewhere = { kind: 'model' as const, model: 'far', version: '1', revision: ELSEWHERE, inputMap: {}, outputMap: {} };
    planned = [{ ...plan(root, 1), steps: [elsewhere] }];
    catalog.applyReports([{ ...report(1), remoteFiles: 'one' }]);
    const pin = await pins.pin(MODEL, null, null);
    expect([await pins.find(pin), await pins.problem(pin)]).toEqual([1, null]);
    expect(pins.served(pin)).toMatchObject({ revision: 1, remoteFiles: 'one' });
    catalog.applyReports([{ ...report(1), remoteFiles: 'two' }]);
    expect(() => pins.served(pin)).toThrow(PinGone);
    expect(await pins.problem(pin)).toContain('other nodes have other files than the batch began with; put them back there');
    const { remoteFiles: _, ...former } = pin; // of a release that did not know of them
    expect([pins.served(former).remoteFiles, await pins.problem(former)]).toEqual(['two', null]);
    // A node that has just begun knows of no other one yet.
    catalog.applyReports([{ ...report(1), state: 'loading', signature: null }]);
    expect([refusal(() => pins.served(pin)), await pins.problem(pin)]).toMatchObject([{ code: 'worker_unavailable' }, null]);
    catalog.applyReports([{ ...report(1), remoteFiles: 'one' }]);
    expect(pins.served(pin)).toMatchObject({ remoteFiles: 'one' });
  });

  it('does not take other files of the version for them, and knows them again when they are back', async () => {
    const root = built();
    const pins = await open(root, 1);
    const pin = await pins.pin(MODEL, '1', [MODEL]);
    expect([await pins.find(pin), pins.revisionOf(pin)]).toEqual([1, 1]);
    change(root);
    expect(await pins.find(pin)).toBe(1); // workers have them still
    planned = [plan(root, 2)];
    expect(() => pins.served(pin)).toThrow(PinGone);
    expect([await pins.find(pin), pins.revisionOf(pin)]).toEqual([null, null]);
    expect(await pins.problem(pin)).toContain('there are other files than the batch began with; put them back');
    planned = [];
    expect(await pins.problem(pin)).toContain('there are no files of those that the batch began with; put them back');
    rmSync(join(root, MODEL, 'model.yaml'));
    planned = [plan(root, 3)];
    expect(await pins.find(pin)).toBe(3);
  });

  it('lets go of files that were replaced once no worker has them, and knows them again when they are back', async () => {
    const root = built();
    const pins = await open(root, 1);
    const pin = await pins.pin(MODEL, '1', null);
    const former = planned;
    change(root);
    planned = [...former, plan(root, 2)];
    expect(await pins.find(pin)).toBe(1);
    catalog.applyReports([report(1, 'its files have changed')]); // its worker was started again
    expect(() => pins.served(pin)).toThrow(PinGone);
    expect([await pins.find(pin), pins.revisionOf(pin)]).toEqual([null, null]);
    rmSync(join(root, MODEL, 'model.yaml'));
    planned = [{ ...former[0]!, fingerprint: 'of the former files' }, plan(root, 3)];
    expect(await pins.find(pin)).toBe(3);
  });

  it('says why no worker has the files, which are there: for good only where they are quarantined', async () => {
    const pins = await open(built(), 1);
    const pin = await pins.pin(MODEL, '1', null);
    catalog.applyReports([report(1, 'it needs 3.2 GiB')]);
    expect(await pins.find(pin)).toBe(1);
    expect(refusal(() => pins.served(pin))).toMatchObject({
      code: 'worker_unavailable',
      message: expect.stringContaining('is not loaded: it needs 3.2 GiB') as string,
    });
    quarantined = MODEL;
    catalog.applyReports([report(1, 'it kills workers')]);
    expect(refusal(() => pins.served(pin))).toMatchObject({
      code: 'model_not_servable',
      message: expect.stringContaining('cannot be served: it kills workers') as string,
    });
  });

  it('waits for files that were put back under the number that they had', async () => {
    const root = built();
    const pins = await open(root, 1);
    const pin = await pins.pin(MODEL, '1', null);
    catalog.applyReports([report(1, 'its files have changed')]);
    expect(await pins.find(pin)).toBe(1);
    expect(refusal(() => pins.served(pin))).toMatchObject({ code: 'worker_unavailable' });
  });

  it('takes the same files under the number with which they were loaded again', async () => {
    const root = built();
    const pins = await open(root, 1);
    const pin = await pins.pin(MODEL, '1', null);
    // The catalog of a node without a placement has one record for each version, so the failure is of what it says.
    jest.spyOn(catalog, 'failureOf').mockImplementation((revision) => (revision === 1 ? 'it needs 3.2 GiB' : null));
    planned = [...planned, plan(root, 2)];
    expect([await pins.find(pin), pins.revisionOf(pin)]).toEqual([2, 2]);
  });

  it('fails the rows of a graph of which a step is quarantined', async () => {
    const root = built();
    const pins = await open(root, 1);
    const step = { kind: 'model' as const, model: 'fixed', version: '1', revision: 9, inputMap: {}, outputMap: {} };
    buildModels(root, ['fixed']);
    const fingerprint = fingerprintOfVersion(root, 'fixed', '1') ?? '';
    planned = [
      { ...plan(root, 1), steps: [step] },
      { name: 'fixed', version: '1', revision: 9, fingerprint },
    ];
    const pin = await pins.pin(MODEL, '1', null);
    catalog.applyReports([report(1, 'step 1 fixed: it kills workers')]);
    expect(refusal(() => pins.served(pin))).toMatchObject({ code: 'worker_unavailable' });
    quarantined = 'fixed';
    expect(refusal(() => pins.served(pin))).toMatchObject({ code: 'model_not_servable' });
  });

  it('lets go of a graph of which a step was replaced, once no worker has that', async () => {
    const root = built();
    buildModels(root, ['fixed']);
    const pins = await open(root, 1);
    const ofStep = (reason: string | null): ModelReport => ({ ...report(9, reason), name: 'fixed' });
    const step = { kind: 'model' as const, model: 'fixed', version: '1', revision: 9, inputMap: {}, outputMap: {} };
    const fingerprint = fingerprintOfVersion(root, 'fixed', '1') ?? '';
    planned = [
      { ...plan(root, 1), steps: [step] },
      { name: 'fixed', version: '1', revision: 9, fingerprint },
    ];
    catalog.applyReports([report(1), ofStep(null)]);
    const pin = await pins.pin(MODEL, '1', null);
    writeFileSync(join(root, 'fixed/model.yaml'), 'runRowsMax: 3\n');
    expect(await pins.find(pin)).toBe(1);
    catalog.applyReports([report(1, 'its step is not there'), ofStep('its files have changed')]);
    expect(() => pins.served(pin)).toThrow(PinGone);
    expect(await pins.find(pin)).toBeNull();
  });

  it('begins nothing with files that are being changed, nor with a model that the caller may not use', async () => {
    const root = built();
    const pins = await open(root, 1);
    change(root);
    await expect(pins.pin(MODEL, null, null)).rejects.toMatchObject({ code: 'worker_unavailable' });
    await expect(pins.pin(MODEL, null, ['other'])).rejects.toMatchObject({ code: 'model_not_found' });
  });
});
