import { graphInputs, graphManifest } from './graph-manifest';
import { stepsSchema, type StepOfFile } from './steps-schema';

const step = (model: string, takes: string[], makes: string[]): StepOfFile => ({
  model,
  input_map: Object.fromEntries(takes.map((name) => [name, name])),
  output_map: Object.fromEntries(makes.map((name) => [name, name])),
});

describe('graphManifest', () => {
  it('orders steps so that each comes after those that it takes from, and makes outputs of what nobody takes', () => {
    const { steps, outputs } = graphManifest('g', [step('b', ['x', 'mask'], ['y', 'z']), step('a', ['text', 'mask'], ['x'])], null);
    expect(steps.map(({ model }) => model)).toEqual(['a', 'b']);
    expect(outputs).toEqual(['y', 'z']);
    expect(graphInputs(steps)).toEqual(['text', 'mask']);
  });

  it('keeps the order of the outputs that are named', () => {
    expect(graphManifest('g', [step('a', ['t'], ['x', 'y'])], ['y', 'x']).outputs).toEqual(['y', 'x']);
  });

  it.each<[string, StepOfFile[], string[] | null, string]>([
    ['a circle', [step('a', ['t', 'y'], ['x']), step('b', ['x'], ['y', 'z'])], null, 'step 1 a, step 2 b wait for one another'],
    ['a tensor made twice', [step('a', ['t'], ['x']), step('b', ['t'], ['x'])], null, 'step 1 a and step 2 b both make "x"'],
    ['an output that nobody makes', [step('a', ['t'], ['x'])], ['x', 'y'], 'outputs: no step makes "y"'],
    ['an output named twice', [step('a', ['t'], ['x'])], ['x', 'x'], 'outputs: "x" is there twice'],
    ['a tensor that nobody takes', [step('a', ['t'], ['x', 'y'])], ['x'], 'step 1 a makes "y", which nobody takes'],
    ['a step without inputs', [step('a', ['t'], ['x']), step('b', [], ['y'])], null, 'step 2 b takes nothing'],
    ['a step without outputs', [step('a', ['t'], ['x']), step('b', ['x'], [])], null, 'step 2 b makes nothing'],
    ['itself as a step', [step('g', ['t'], ['x'])], null, 'step 1 g is the graph itself'],
    ['no input', [step('a', ['x'], ['x'])], null, 'the graph has no input'],
  ])('refuses %s', (_, steps, outputs, message) => {
    expect(() => graphManifest('g', steps, outputs)).toThrow(message);
  });

  it('tells all that is wrong at once', () => {
    const steps = [step('g', ['t'], ['x']), step('b', ['t'], ['x', 'y'])];
    expect(() => graphManifest('g', steps, ['z'])).toThrow(
      /the graph itself.*both make "x".*no step makes "z".*makes "y", which nobody takes/,
    );
  });
});

describe('stepsSchema', () => {
  it.each([
    [[{ model: 'a', head: 'b', input_map: { x: 'x' }, output_map: { y: 'y' } }], 'expected { model: NAME'],
    [[{ input_map: { x: 'x' }, output_map: { y: 'y' } }], 'expected { model: NAME'],
    [[{ model: 'a', version: '0', input_map: { x: 'x' }, output_map: { y: 'y' } }], 'expected'],
    [[], '>=1'],
    [new Array(65).fill({ model: 'a', input_map: { x: 'x' }, output_map: { y: 'y' } }), '<=64'],
  ])('refuses %j', (steps, message) => {
    expect(
      stepsSchema
        .safeParse(steps)
        .error?.issues.map((issue) => issue.message)
        .join(),
    ).toContain(message);
  });
});
