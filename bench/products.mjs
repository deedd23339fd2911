// The product kernel against PyTorch's, over the shapes of training and decoding. See README.md.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { linear, useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { alternate, geometricMean, json, machine, median, spread, table } from './lib/measure.mjs';
import { publish } from './lib/sections.mjs';

/** x [M, K] by a weight [N, K]: what a linear layer computes. */
const shapes = [
  { shape: [512, 896, 4864], of: 'a layer of Qwen2.5-0.5B' },
  { shape: [10_240, 128, 352], of: '0.9 M update, up' },
  { shape: [10_240, 352, 128], of: '0.9 M update, down' },
  { shape: [10_240, 128, 128], of: '0.9 M update, attention' },
  { shape: [64, 128, 352], of: '0.9 M decode, up' },
  { shape: [64, 352, 128], of: '0.9 M decode, down' },
  { shape: [64, 128, 512], of: '0.9 M decode, logits' },
  { shape: [752, 576, 1536], of: '135 M update, up' },
  { shape: [752, 1536, 576], of: '135 M update, down' },
  { shape: [752, 576, 576], of: '135 M update, attention' },
  { shape: [512, 576, 49_152], of: '135 M update, logits' },
  { shape: [16, 576, 1536], of: '135 M decode, up' },
  { shape: [16, 1536, 576], of: '135 M decode, down' },
  { shape: [16, 576, 49_152], of: '135 M decode, logits' },
  { shape: [1, 576, 1536], of: 'one row' },
  { shape: [1, 576, 49_152], of: 'one row, logits' },
  { shape: [64, 896, 151_936], of: '64 rows, a vocabulary of 150,000' },
];
const SECONDS = 0.4; // a shape and process
const TOLERANCE = 1e-5; // of an element, relative to Σ |x w|

const random = (rows, columns, seed) => tf.randomUniform([rows, columns], -0.5, 0.5, 'float32', seed);

/** In a process of its own: the best speed of each shape, in GFLOP/s, and the processor's bound. */
async function measure() {
  await useEngine('native');
  const speeds = [];
  for (const { shape } of shapes) {
    const [M, K, N] = shape;
    const [x, weight] = [random(M, K, 1), random(N, K, 2)];
    verify(shape, x, weight);
    let best = Infinity;
    for (const began = performance.now(); performance.now() - began < 1000 * SECONDS; ) {
      const started = performance.now();
      const y = linear(x, weight);
      best = Math.min(best, performance.now() - started);
      y.dispose();
    }
    speeds.push((2 * M * K * N) / best / 1e6);
    tf.dispose([x, weight]);
  }
  return { speeds, peak: await multiplyAddPeak() };
}

/** Elements of the product against sums in float64. */
function verify([M, K, N], x, weight) {
  const [a, b] = [x.dataSync(), weight.dataSync()];
  const product = linear(x, weight);
  const y = product.dataSync();
  product.dispose();
  for (let i = 0; i < 100; i++) {
    const [m, n] = [(i * 7919) % M, (i * 104_729) % N];
    let [sum, magnitude] = [0, 0];
    for (let k = 0; k < K; k++) {
      sum += a[m * K + k] * b[n * K + k];
      magnitude += Math.abs(a[m * K + k] * b[n * K + k]);
    }
    if (!(Math.abs(y[m * N + n] - sum) <= TOLERANCE * magnitude)) {
      throw new Error(`product ${M} x ${K} x ${N}: expected ${sum} at [${m}, ${n}], got ${y[m * N + n]}`);
    }
  }
}

/** Fused multiply-adds in registers alone, on all threads, in GFLOP/s. */
async function multiplyAddPeak() {
  const { loadAddon } = await import('../packages/tensor/dist/native/addon.js');
  const { kernels, threads } = loadAddon();
  const counts = new Float64Array(16 * threads());
  let best = 0;
  for (let i = 0; i < 20; i++) {
    const started = performance.now();
    kernels.multiplyAdds([counts], [counts.length, 100_000]);
    best = Math.max(best, counts.reduce((sum, count) => sum + count) / (performance.now() - started) / 1e6);
  }
  return best;
}

async function main() {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: 'python3' },
      rounds: { type: 'string', default: '5' },
      threads: { type: 'string', default: String(availableParallelism()) },
      write: { type: 'string' },
    },
  });
  const { python, threads } = values;
  const env = { SOFT_TOKENS_THREADS: threads, OMP_NUM_THREADS: threads, OPENBLAS_NUM_THREADS: threads };
  const dimensions = JSON.stringify(shapes.map(({ shape }) => shape));
  const script = new URL('./pytorch/products.py', import.meta.url).pathname;
  const results = await alternate(['ours', 'pytorch'], Number(values.rounds), (job) =>
    job === 'ours'
      ? json(process.execPath, [import.meta.filename, '--child'], env)
      : json(python, [script, dimensions, threads, String(SECONDS)], env),
  );
  const [ours, theirs] = [results.get('ours'), results.get('pytorch')];
  const ratios = shapes.map((_, i) => ours.map(({ speeds }, round) => speeds[i] / theirs[round].speeds[i]));
  const peak = median(ours.map(({ peak }) => peak));
  const headline = median(ours.map(({ speeds, peak }) => speeds[0] / peak));
  publish(
    {
      products: [
        table(
          ['M × K × N', 'where', 'ours, GFLOP/s', 'PyTorch, GFLOP/s', 'ratio'],
          shapes.map(({ shape, of }, i) => [
            shape.join(' × '),
            of,
            spread(
              ours.map(({ speeds }) => speeds[i]),
              0,
            ),
            spread(
              theirs.map(({ speeds }) => speeds[i]),
              0,
            ),
            spread(ratios[i]),
          ]),
        ),
        `Geometric mean of the ratios ${geometricMean(ratios.map(median)).toFixed(2)}, least ` +
          `${Math.min(...ratios.map(median)).toFixed(2)}. Multiply-add peak of ${threads} threads ${peak.toFixed(0)} GFLOP/s; ` +
          `of it, ${shapes[0].shape.join(' × ')} reaches ${(100 * headline).toFixed(0)} %.`,
        `${machine()}; PyTorch ${theirs[0].version}; ${threads} threads each; best of ${SECONDS} s a shape and process, ` +
          `median (least to most) of ${values.rounds} processes each, alternating.`,
      ].join('\n\n'),
    },
    values.write,
  );
}

if (process.argv[2] === '--child') console.log(JSON.stringify(await measure()));
else await main();
