import type { ModelFiles } from './files';
import { GraphBuilder } from './graph';

/**
 * `quotient` [batch] = 1000 / `value` [batch] in int64. A 0 fails cleanly, because the runtime looks for it. A -1 kills
 * the process: it divides the smallest int64, whose quotient does not fit, and x86 raises SIGFPE (seen with ONNX Runtime
 * 1.30; ARM wraps instead). For tests of containment only.
 */
export function crash(): ModelFiles {
  const b = new GraphBuilder('crash');
  addFatalDivision(b, b.input('value', 'INT64', ['batch']));
  return { '1/model.onnx': b.encode() };
}

/** As `crash`, one off: a 0, which is what a measurement sends, kills the process, and a 1 fails cleanly. */
export function crashAtZero(): ModelFiles {
  const b = new GraphBuilder('crash-at-zero');
  addFatalDivision(b, b.op('Sub', [b.input('value', 'INT64', ['batch']), b.int(1)]));
  return { '1/model.onnx': b.encode() };
}

function addFatalDivision(b: GraphBuilder, divisor: string): void {
  const dividend = b.op('Where', [b.op('Equal', [divisor, b.int(-1)]), b.int(-(2 ** 63)), b.int(1000)]);
  b.output('quotient', 'INT64', ['batch'], b.op('Div', [dividend, divisor]));
}

/**
 * Counts to the largest `value` [batch], and for ever when one is negative; `result` [batch] = value + what it counted
 * to. A step takes about 4 µs, so large values make runs of any length; SetTerminate ends
 * them at once. For tests of containment only.
 */
export function endless(): ModelFiles {
  const b = new GraphBuilder('endless');
  const value = b.input('value', 'INT64', ['batch']);
  const largest = b.op('ReduceMax', [value], { axes: [0], keepdims: 0 });
  const smallest = b.op('ReduceMin', [value], { axes: [0], keepdims: 0 });
  const forEver = b.op('Less', [smallest, b.int(0)]);
  const start = b.op('Or', [forEver, b.op('Less', [b.int(0), largest])]);
  const count = b.op('Loop', ['', start, b.int(0)], { body: { graph: countingBody(largest, forEver) } });
  b.output('result', 'INT64', ['batch'], b.op('Add', [value, count]));
  return { '1/model.onnx': b.encode() };
}

/**
 * `result` [batch] = `value` [batch]; when one is negative it allocates 4 MiB, fills it and keeps it, again and again, for
 * ever. For tests of containment only.
 */
export function hoard(): ModelFiles {
  const b = new GraphBuilder('hoard');
  const value = b.input('value', 'INT64', ['batch']);
  const forEver = b.op('Less', [b.op('ReduceMin', [value], { axes: [0], keepdims: 0 }), b.int(0)]);
  const kept = b.op('Loop', ['', forEver], { body: { graph: hoardingBody(forEver) } });
  b.output('result', 'INT64', ['batch'], b.op('Add', [value, b.op('Size', [kept])]));
  return { '1/model.onnx': b.encode() };
}

/**
 * `result` [batch] = `value` [batch] + a constant for which the runtime multiplies matrices for minutes when it opens the
 * model. For tests of containment only, and not among the models that are built by name.
 */
export function slowToLoad(): ModelFiles {
  const b = new GraphBuilder('slow-to-load');
  const value = b.input('value', 'FP32', ['batch']);
  const factor = b.op('Expand', [b.scalar(1e-4), b.ints(3000, 3000)]);
  let product = factor;
  for (let i = 0; i < 400; i++) product = b.op('MatMul', [product, factor]);
  b.output('result', 'FP32', ['batch'], b.op('Add', [value, b.op('ReduceMin', [product], { keepdims: 0 })]));
  return { '1/model.onnx': b.encode() };
}

/** One step: 2^19 int64 that the loop collects, and go on while `forEver` (a value of the graph around it) holds. */
function hoardingBody(forEver: string): ReturnType<GraphBuilder['graph']> {
  const body = new GraphBuilder('body', 'FP32', 'body_');
  const iteration = body.input('body_iteration', 'INT64', []);
  body.input('body_condition', 'BOOL', []);
  body.output('body_continue', 'BOOL', [], forEver);
  body.output('body_kept', 'INT64', [2 ** 19], body.op('Expand', [iteration, body.ints(2 ** 19)]));
  return body.graph();
}

/** One step: count + 1, and go on while it is less than `largest` or `forEver` holds (values of the graph around it). */
function countingBody(largest: string, forEver: string): ReturnType<GraphBuilder['graph']> {
  const body = new GraphBuilder('body', 'FP32', 'body_');
  body.input('body_iteration', 'INT64', []);
  body.input('body_condition', 'BOOL', []);
  const count = body.op('Add', [body.input('body_count', 'INT64', []), body.int(1)]);
  body.output('body_continue', 'BOOL', [], body.op('Or', [forEver, body.op('Less', [count, largest])]));
  body.output('body_counted', 'INT64', [], count);
  return body.graph();
}
