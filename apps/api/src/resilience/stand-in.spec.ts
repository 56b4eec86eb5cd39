import type { ServedModel, ServingPolicy, TextModel } from '@app/models';
import { standInProblem, tensorProblem, type Candidate } from './stand-in';

const spec = (name: string, width: number) => ({
  name,
  datatype: 'FP32' as const,
  shape: [-1, width],
  axes: ['batch' as const, 'fixed' as const],
});

function candidate(over: Partial<ServedModel> & { width?: number | null } = {}, policy: Partial<ServingPolicy> = {}): Candidate {
  const { width = 4, ...model } = over;
  return {
    model: {
      name: 'm',
      version: '1',
      revision: 1,
      task: 'embedding',
      signature: { inputs: [spec('x', 2)], outputs: [spec('y', 4)], coalesce: 'padded', coalesceReason: null },
      text: { embeddingWidth: width } as TextModel,
      tensorsBecause: null,
      labels: null,
      timeoutMs: null,
      deduplicate: true,
      isGraph: false,
      remoteFiles: null,
      ...model,
    },
    policy: { cache: null, degrade: [], head: 'h', tokenizerDigest: 't', ...policy },
  };
}
const step = (sameSpace: boolean) => ({ kind: 'model' as const, model: 'other', version: null, sameSpace });

describe('standInProblem', () => {
  it('takes vectors of another model only when the owner says that they can be compared', () => {
    for (const task of ['embedding', 'sparse', 'multi-vector'] as const) {
      expect(standInProblem(candidate({ task }), candidate({ task }), step(false))).toMatch(/cannot be compared.*sameSpace: true/);
      expect(standInProblem(candidate({ task }), candidate({ task }), step(true))).toBeNull();
    }
    expect(standInProblem(candidate({ task: 'tensor' }), candidate({ task: 'tensor' }), step(false))).toBeNull();
  });

  it.each<[string, Candidate, Candidate, RegExp]>([
    ['vectors of another length', candidate(), candidate({ width: 3 }), /3 numbers, and not 4/],
    ['vectors of unknown length', candidate({ width: null }), candidate({ width: null }), /numbers/],
    [
      'sparse vectors of another vocabulary',
      candidate({ task: 'sparse' }),
      candidate({ task: 'sparse' }, { tokenizerDigest: 'u' }),
      /another tokenizer/,
    ],
    ['another task', candidate(), candidate({ task: 'tensor' }), /does tensor/],
    ['other labels', candidate(), candidate({}, { head: 'other' }), /labels/],
    [
      'another number of classes',
      candidate({ task: 'sequence-classification' }),
      candidate({
        task: 'sequence-classification',
        signature: { inputs: [], outputs: [spec('y', 5)], coalesce: 'padded', coalesceReason: null },
      }),
      /outputs are y FP32\[-1,5\], and not y FP32\[-1,4\]/,
    ],
  ])('refuses %s', (_name, own, other, reason) => {
    expect(standInProblem(own, other, step(true))).toMatch(reason);
  });
});

describe('tensorProblem', () => {
  it('wants the same tokenizer and the same inputs and outputs', () => {
    expect(tensorProblem(candidate(), candidate())).toBeNull();
    expect(tensorProblem(candidate(), candidate({}, { tokenizerDigest: 'u' }))).toMatch(/tokenizer/);
    const signature = { inputs: [spec('z', 2)], outputs: [spec('y', 4)], coalesce: 'padded' as const, coalesceReason: null };
    expect(tensorProblem(candidate(), candidate({ signature }))).toMatch(/inputs are z/);
  });
});
