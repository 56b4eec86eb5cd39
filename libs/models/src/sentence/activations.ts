/**
 * PyTorch's activations with their default arguments, by class name, as functions of one number
 * (https://pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity).
 */
export const ACTIVATIONS = new Map<string, (x: number) => number>([
  ['Identity', (x) => x],
  ['Tanh', Math.tanh],
  ['Sigmoid', sigmoid],
  ['ReLU', (x) => Math.max(x, 0)],
  ['ReLU6', (x) => Math.min(Math.max(x, 0), 6)],
  ['LeakyReLU', (x) => (x >= 0 ? x : 0.01 * x)],
  ['ELU', (x) => (x > 0 ? x : Math.expm1(x))],
  ['CELU', (x) => (x > 0 ? x : Math.expm1(x))],
  ['SELU', (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x))],
  ['GELU', (x) => 0.5 * x * (1 + errorFunction(x / Math.SQRT2))],
  ['SiLU', (x) => x * sigmoid(x)],
  ['Mish', (x) => x * Math.tanh(softplus(x))],
  ['Softplus', softplus],
  ['Softsign', (x) => x / (1 + Math.abs(x))],
  ['LogSigmoid', (x) => -softplus(-x)],
  ['Hardtanh', (x) => Math.min(Math.max(x, -1), 1)],
  ['Hardsigmoid', (x) => Math.min(Math.max(x + 3, 0), 6) / 6],
  ['Hardswish', (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6],
]);

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** log(1 + e^x) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** Error at most 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26). */
function errorFunction(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}
