import { plainFailure } from './plain-failure';

const RUNTIME = 'onnxruntime/core/graph/model.cc:181 onnxruntime::Model::Model';

describe('a failure in plain words', () => {
  it.each([
    [`Load model from /srv/models/m/1/model.onnx failed:Protobuf parsing failed.`, 'The model file is damaged, or is no ONNX file.'],
    [
      `${RUNTIME} Unsupported model IR version: 12, max supported IR version: 10`,
      'The model was exported for a newer ONNX Runtime than this node has.',
    ],
    [`Fatal error: com.acme::Foo(-1) is not a registered function/op`, 'The model uses an operator that this ONNX Runtime does not have.'],
    [`${RUNTIME} std::bad_alloc`, 'There was not enough memory to load the model.'],
    [`open file "/srv/m/1/model.onnx_data" fail: No such file or directory`, 'A file with weights that belongs to the model is missing.'],
    [`/srv/gpu/tokenizer.json: EACCES: permission denied, open '/srv/gpu/tokenizer.json'`, 'A file of the model may not be read.'],
    [
      'CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0 ; file=/onnxruntime_src/cuda/cuda_call.cc ; line=52 ; expr=cudnnCreate(&handle)',
      'The model could not be loaded on the GPU.',
    ],
    ['CUBLAS failure 3: the resource could not be had', 'The model could not be loaded on the GPU.'],
    [`${RUNTIME} something unheard of`, 'The model could not be loaded; the words of the runtime say why.'],
  ])('%s', (raw, problem) => {
    expect(plainFailure(raw)).toEqual({ problem, rawProblem: raw });
  });

  it.each([
    ['the folder has no model.onnx; put one there', 'The folder has no model.onnx; put one there.'],
    ['/srv/gpu/m/model.yaml: content: Unrecognized key: "bogus"', '/srv/gpu/m/model.yaml: content: Unrecognized key: "bogus".'],
    [
      'task "embedding" needs a tokenizer.json in /srv/models/m; add it or set "task: tensor" in model.yaml',
      'Task "embedding" needs a tokenizer.json in /srv/models/m; add it or set "task: tensor" in model.yaml.',
    ],
    [
      `it needs 3.2 GiB of memory, ${'and so on, '.repeat(30)}free some`,
      `It needs 3.2 GiB of memory, ${'and so on, '.repeat(30)}free some.`,
    ],
  ])('leaves sentences for people as they are: %s', (own, problem) => {
    expect(plainFailure(own)).toEqual({ problem, rawProblem: null });
  });

  it('shows the first line of those that quote a file, and the whole apart from it', () => {
    const own = '/srv/m/model.yaml: Nested mappings are not allowed at line 1, column 4:\n\na: b: c\n   ^';
    expect(plainFailure(own)).toEqual({
      problem: '/srv/m/model.yaml: Nested mappings are not allowed at line 1, column 4.',
      rawProblem: own,
    });
  });
});
