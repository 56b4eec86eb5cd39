import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig } from '@app/config';
import { InterleaveError, type Tensor } from '@app/contracts';
import { readOnnxFile } from '@app/onnx-file';
import { findModelFiles } from '../../apps/cli/src/find-model-files';
import { splitModel } from '../../apps/cli/src/split/split-model';
import { GraphBuilder } from '../../tools/model-builder/src/graph';
import { buildModels } from '../../tools/model-builder/src/models';
import { externalise } from '../fixtures/externalise';
import { OrtBackend } from '../fixtures/ort-backend';
import { modelPath } from '../fixtures/served-models';

const CLI = resolve('bin/interleave.js');
const LENGTH = 9;
const MODELS = ['encoder-tiny', 'encoder-small', 'classifier', 'two-axes', 'no-mask', 'half', 'fixed', 'external'];
const MINUTES_5 = 5 * 60_000;

describe('interleave split', () => {
  const root = mkdtempSync(join(tmpdir(), 'split-'));
  const models = join(root, 'models');

  beforeAll(() => {
    buildModels(
      models,
      MODELS.filter((name) => name !== 'external'),
    );
    mkdirSync(join(models, 'external', '1'), { recursive: true });
    cpSync(join(models, 'encoder-tiny', 'config.json'), join(models, 'external', '1', 'config.json'));
    externalise(join(models, 'encoder-tiny', 'model.onnx'), join(models, 'external', '1', 'model.onnx'), { location: 'weights.bin' });
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  function split(...args: string[]): { status: number | null; out: string; errors: string } {
    const env = { ...process.env, DATA_DIR: join(root, 'data'), MODELS_DIR: models };
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'split', ...args], { env, encoding: 'utf8' });
    return { status, out: stdout, errors: stderr };
  }

  /** Made-up inputs as the graph declares them: two rows. */
  function inputsOf(path: string, length: number): Tensor[] {
    return readOnnxFile(path).graph.inputs.map(({ name, elementType, dims }): Tensor => {
      const shape = (dims ?? []).map((dim) => (typeof dim === 'number' ? dim : dim === 'batch' ? 2 : length));
      const count = shape.reduce((product, size) => product * size, 1);
      if (elementType === 7)
        return {
          name,
          datatype: 'INT64',
          shape,
          data: bytes(BigInt64Array.from({ length: count }, (_, i) => BigInt(name.includes('mask') || i % 2))),
        };
      if (elementType === 10) return { name, datatype: 'FP16', shape, data: bytes(new Uint16Array(count).map((_, i) => 0x3000 + i)) };
      return { name, datatype: 'FP32', shape, data: bytes(new Float32Array(count).map((_, i) => Math.sin(i))) };
    });
  }
  const bytes = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

  /** Runs the whole graph and its two stages. */
  async function expectSameAnswers(model: string, length: number): Promise<void> {
    const whole = modelPath(models, model);
    const stages = [1, 2].map((stage) => join(models, `${model}-stage-${stage}`, '1', 'model.onnx'));
    const backend = await OrtBackend.load([whole, ...stages].map((path, i) => ({ name: `${i}`, version: '1', path })));
    const run = async (i: number, inputs: Tensor[]): Promise<Tensor[]> => {
      const items = [{ inputs, outputs: null }];
      const [result] = await backend.infer({ model: `${i}`, version: '1', items, timeoutMs: null, priority: 0, signal: null });
      if (result === undefined || result instanceof InterleaveError) throw result ?? new Error('no result');
      return result.outputs;
    };
    try {
      const inputs = inputsOf(whole, length);
      const flow = new Map(inputs.map((tensor) => [tensor.name, tensor]));
      for (const [i, path] of stages.entries()) {
        const names = readOnnxFile(path).graph.inputs.map(({ name }) => name);
        for (const output of await run(
          i + 1,
          names.map((name) => flow.get(name) as Tensor),
        ))
          flow.set(output.name, output);
      }
      for (const { name, data } of await run(0, inputs))
        expect(Buffer.from(flow.get(name)?.data ?? []).equals(Buffer.from(data))).toBe(true);
    } finally {
      await backend.close();
    }
  }

  it.each(MODELS)(
    'gives stages of %s that answer as it does, bit by bit',
    async (model) => {
      const { status, errors } = split(model, '--stages', '2');
      expect(`${status} ${status === 0 ? '' : errors}`).toBe('0 ');
      await expectSameAnswers(model, LENGTH);
    },
    MINUTES_5,
  );

  it(
    'gives stages that take other lengths than those of its runs',
    async () => {
      const [width, wide, clipped] = [16, 1024, 4];
      const b = new GraphBuilder('clipped');
      let value = b.op('Slice', [b.input('x', 'FP32', ['batch', 'sequence', width]), b.ints(0), b.ints(clipped), b.ints(1)]);
      for (const [i, from] of [width, wide, wide, wide].entries())
        value = b.op('Tanh', [b.op('MatMul', [value, b.weight(`w${i}`, [from, wide], 0.05)])]);
      b.output('y', 'FP32', ['batch', 'shorter', wide], value);
      mkdirSync(join(models, 'clipped', '1'), { recursive: true });
      writeFileSync(join(models, 'clipped', '1', 'model.onnx'), b.encode());
      const { status, errors } = split('clipped', '--stages', '2');
      expect(`${status} ${status === 0 ? '' : errors}`).toBe('0 ');
      // The width is in the weights; that four are left of every length was so in the runs.
      expect(readOnnxFile(join(models, 'clipped-stage-2', '1', 'model.onnx')).graph.inputs[0]?.dims).toEqual([null, null, wide]);
      const record = JSON.parse(readFileSync(join(models, 'clipped-pipeline', 'split.json'), 'utf8')) as { cuts: { tensors: object[] }[] };
      expect(record.cuts[0]?.tensors).toEqual([expect.objectContaining({ shape: ['batch', null, wide] })]);
      await expectSameAnswers('clipped', clipped - 2);
    },
    MINUTES_5,
  );

  it('keeps weights of other files outside of the graph', () => {
    const file = readOnnxFile(join(models, 'external-stage-1', '1', 'model.onnx'));
    expect(file.graph.weights.find(({ name }) => name === 'encoder.embeddings.word')?.external?.location).toBe('model.onnx.data');
    expect(readFileSync(join(models, 'external-stage-1', '1', 'model.onnx')).length).toBeLessThan(100_000);
  });

  it('writes nothing where it must not or cannot', () => {
    expect(split('encoder-tiny', '--stages', '2').errors).toMatch(/encoder-tiny-stage-1 is there already; remove it/);
    const out = join(root, 'out');
    expect(split('encoder-tiny', '--stages', '3', '--dry-run', '--out', out).out).toMatch(/encoder-tiny-stage-3/);
    expect(split('half', '--stages', '60', '--out', out).errors).toMatch(/can be cut at \d+ places, too few for 60 stages/);
    expect(existsSync(out)).toBe(false);
  });

  it('writes nothing where the model was replaced meanwhile', async () => {
    cpSync(join(models, 'classifier'), join(models, 'replaced'), { recursive: true });
    const path = modelPath(models, 'replaced');
    const config = loadConfig({ DATA_DIR: join(root, 'data'), MODELS_DIR: models });
    const { manifest } = findModelFiles(config, 'replaced', null);
    const other = readFileSync(path);
    other.writeUInt8(other.readUInt8(other.length >> 1) ^ 1, other.length >> 1);
    const say = (line: string): void => {
      if (!line.startsWith('writing')) return;
      writeFileSync(`${path}.new`, other);
      renameSync(`${path}.new`, path);
    };
    const request = { config, manifest, stages: 2, out: models, isDryRun: false, say };
    await expect(splitModel(request)).rejects.toThrow(/model\.onnx was changed meanwhile, so nothing was written/);
    expect(readdirSync(models).filter((name) => /replaced-|^\./.test(name))).toEqual([]);
  });
});
