// Runs a model with ONNX Runtime's own profile, in a process of its own: what goes wrong in a graph ends nothing else, and its memory is
// given back. Takes one message, writes two files, and ends; exit code 0 means that both are whole.
process.env.ORT_DISABLE_TELEMETRY = '1';
// Node 24 has the type, so the package would use it, but its native half cannot read one: "expected 96, got 0".
delete globalThis.Float16Array;
const { InferenceSession, Tensor } = require('onnxruntime-node');

const ELEMENTS = {
  bool: Uint8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** As a worker opens it, so that the kernels are the same. */
const OPTIONS = {
  graphOptimizationLevel: 'all',
  executionMode: 'sequential',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableMemPattern: false,
  enableProfiling: true,
  logSeverityLevel: 4,
};

const tensorOf = ({ type, shape, data }) =>
  new Tensor(type, type === 'string' ? data : new ELEMENTS[type](Uint8Array.from(data).buffer), shape);

async function profile({ modelPath, graphPath, profilePrefix, runs }) {
  const session = await InferenceSession.create(modelPath, {
    ...OPTIONS,
    optimizedModelFilePath: graphPath,
    profileFilePrefix: profilePrefix,
  });
  for (const { inputs, times } of runs) {
    const feeds = Object.fromEntries(inputs.map((input) => [input.name, tensorOf(input)]));
    for (let i = 0; i < times; i++) await session.run(feeds);
  }
  session.endProfiling();
}

process.once('message', async (request) => {
  try {
    await profile(request);
    process.disconnect();
  } catch (error) {
    process.exitCode = 1;
    process.send(error.message, () => process.disconnect());
  }
});
