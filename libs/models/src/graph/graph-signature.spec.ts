import type { Axis, CoalesceMode, Datatype, ModelSignature, TensorSpec } from '@app/contracts';
import { joinSignatures, type JoinableStep } from './graph-signature';

const AXES: Record<string, Axis> = { b: 'batch', s: 'sequence0', q: 'sequence1', f: 'free' };

/** As in `ids INT64 b,s` or `hidden FP32 b,s,8`. */
function spec(text: string): TensorSpec {
  const [name = '', datatype = '', dims = ''] = text.split(' ');
  const parts = dims.split(',');
  return {
    name,
    datatype: datatype as Datatype,
    shape: parts.map((part) => (part in AXES ? -1 : Number(part))),
    axes: parts.map((part) => AXES[part] ?? 'fixed'),
  };
}

const signature = (inputs: string[], outputs: string[], coalesce: CoalesceMode = 'padded'): ModelSignature => ({
  inputs: inputs.map(spec),
  outputs: outputs.map(spec),
  coalesce,
  coalesceReason: coalesce === 'padded' ? null : 'because',
});

const encoder: JoinableStep = { model: 'encoder', inputMap: { ids: 'ids' }, outputMap: { hidden: 'h' } };
const pooler: JoinableStep = { model: 'pooler', inputMap: { x: 'h', mask: 'mask' }, outputMap: { pooled: 'vector' } };
const ENCODER = signature(['ids INT64 b,s'], ['hidden FP32 b,s,8']);

const join = (second: ModelSignature, steps = [encoder, pooler]) => joinSignatures({ steps, outputs: ['vector'] }, [ENCODER, second]);

describe('joinSignatures', () => {
  it('is the inputs that no step makes and the outputs, with lengths that steps share as one length', () => {
    const joined = join(signature(['x FP32 b,s,8', 'mask INT64 b,s'], ['pooled FP32 b,8'], 'equal-length'));
    expect(joined).toMatchObject({
      signature: {
        inputs: [spec('ids INT64 b,s'), spec('mask INT64 b,s')],
        outputs: [spec('vector FP32 b,8')],
        coalesce: 'equal-length',
        coalesceReason: 'step 2 pooler: because',
      },
    });
  });

  it('tells lengths apart that no step shares', () => {
    const score: JoinableStep = { model: 'score', inputMap: { query: 'query', x: 'h' }, outputMap: { pooled: 'vector' } };
    const joined = join(signature(['query INT64 b,s', 'x FP32 b,q,8'], ['pooled FP32 b,s']), [encoder, score]);
    expect(joined).toMatchObject({
      signature: { inputs: [spec('ids INT64 b,s'), spec('query INT64 b,q')], outputs: [spec('vector FP32 b,q')] },
    });
  });

  it.each([
    ['another type', 'x FP16 b,s,8', 'the types differ'],
    ['another number of dimensions', 'x FP32 b,8', 'the numbers of dimensions differ'],
    ['another fixed size', 'x FP32 b,s,9', 'dimension 2 does not fit'],
    ['rows where there are tokens', 'x FP32 s,b,8', 'dimension 0 does not fit'],
    ['a fixed length where it varies', 'x FP32 b,4,8', 'dimension 1 does not fit'],
    ['one row where there are many', 'x FP32 1,s,8', 'dimension 0 does not fit'],
  ])('refuses %s', (_, input, reason) => {
    const joined = join(signature([input, 'mask INT64 b,s'], ['pooled FP32 b,8']));
    expect(joined).toEqual({ problems: [expect.stringContaining(reason)] });
    expect(joined).toEqual({
      problems: [expect.stringMatching(/^"h": step 1 encoder \("hidden"\) makes FP32 \[batch, sequence, 8\], and step 2 pooler/)],
    });
  });

  it('takes a size that nobody knows for one that fits', () => {
    expect(join(signature(['x FP32 b,f,8', 'mask INT64 b,s'], ['pooled FP32 b,8']))).toHaveProperty('signature');
  });

  it('names tensors that a model does not have, and those that are left out', () => {
    const joined = join(signature(['y FP32 b,s,8', 'mask INT64 b,s'], ['other FP32 b,8']));
    expect(joined).toEqual({
      problems: [
        'step 2 pooler: input_map: the model has no "x"; it has y, mask',
        'step 2 pooler: output_map: the model has no "pooled"; it has other',
        'step 2 pooler: input_map lacks "y", FP32 [batch, sequence, 8]; say which tensor it is',
      ],
    });
  });

  it('wants what suits all steps that take one input of a caller', () => {
    const other: JoinableStep = { model: 'other', inputMap: { ids: 'ids' }, outputMap: { pooled: 'vector' } };
    const steps = [encoder, other];
    expect(join(signature(['ids INT64 b,7'], ['pooled FP32 b,8']), steps)).toMatchObject({
      signature: { inputs: [spec('ids INT64 b,7')] },
    });
    expect(join(signature(['ids INT32 b,s'], ['pooled FP32 b,8']), steps)).toEqual({
      problems: [expect.stringContaining('the types differ')],
    });
  });
});
