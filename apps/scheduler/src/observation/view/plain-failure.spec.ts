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
    [`${RUNTIME} something unheard of`, 'The model could not be loaded; the words of the runtime say why.'],
  ])('%s', (raw, problem) => {
    expect(plainFailure(raw)).toEqual({ problem, rawProblem: raw });
  });

  it('leaves sentences for people as they are', () => {
    expect(plainFailure('the folder has no model.onnx; put one there')).toEqual({
      problem: 'The folder has no model.onnx; put one there.',
      rawProblem: null,
    });
  });
});
