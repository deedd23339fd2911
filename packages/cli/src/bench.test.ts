import { samplerFor } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test, vi } from 'vitest';
import { drawSequences, median, randomPrompts, timeSteps } from './bench.js';
import { summarise } from './commands/bench.js';
import { modes } from './config/recipe.js';
import { createRandomModel, parseRandomModel } from './randomModel.js';
import { runInProcess } from './test/tools.js';

const tiny = 'llama:hidden=32,layers=1,heads=2,kv=1,intermediate=48,vocab=40';
const sizes = { prompts: 2, samples: 3, promptTokens: 5, thoughtTokens: 4, answerTokens: 2 };
const rest = { seed: 1, signal: new AbortController().signal };

test('medians and what follows from them, worked by hand', () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])]).toEqual([2, 2.5, 7]);
  const times = [
    { rollout: 1, update: 3 },
    { rollout: 2, update: 4 },
    { rollout: 9, update: 1 },
  ];
  expect(summarise(times, { tokens: 60, flops: 1.2e10, peak: 4 })).toMatchObject({
    rollout_s: 2,
    update_s: 3,
    step_s: 6,
    tokens_per_s: 10,
    flop_share: 0.5,
    steps: [{ step_s: 4 }, { step_s: 6 }, { step_s: 10 }],
  });
});

test('prompts: ids of the vocabulary, the same for the same seed, others at another step', () => {
  const at = { vocabSize: 40, seed: 1, step: 0 };
  const prompts = randomPrompts(sizes, at);
  expect(prompts.map((ids) => ids.length)).toEqual([5, 5]);
  for (const id of prompts.flat()) expect(Number.isInteger(id) && id >= 0 && id < 40).toBe(true);
  expect(prompts[0]).not.toEqual(prompts[1]);
  expect(randomPrompts(sizes, at)).toEqual(prompts);
  expect(randomPrompts(sizes, { ...at, step: 1 })).not.toEqual(prompts);
});

test.each(modes)('%s: sequences of full length; a step leaves no tensor behind and moves the model', async (mode) => {
  await useEngine('cpu');
  const model = createRandomModel(parseRandomModel(tiny), 1);
  const shape = { ...sizes, mode };
  const sequences = await drawSequences({ model, shape, ...rest }, samplerFor(`${mode}-sample`, 0.01), 0);
  expect(
    sequences.map(({ shadowIds, prefillIds, answerIds }) =>
      [shadowIds, prefillIds, answerIds].map((ids) => ids.length),
    ),
  ).toEqual(Array(6).fill([4, 0, 2]));

  const before = { tensors: tf.memory().numTensors, weights: model.inputEmbedding.dataSync().slice() };
  const done: number[] = [];
  const onStep = (n: number) => done.push(n);
  const forward = vi.spyOn(model, 'forward');
  const times = await timeSteps({ model, shape, steps: 2, maxTokens: 10, recompute: true, ...rest, onStep });
  expect(forward.mock.calls.some(([, , options]) => options?.recompute)).toBe(true);
  expect(done).toEqual([1, 2, 3]);
  expect(times).toHaveLength(2);
  for (const { rollout, update } of times) expect(Math.min(rollout, update)).toBeGreaterThan(0);
  expect(tf.memory().numTensors).toBe(before.tensors);
  expect(model.inputEmbedding.dataSync()).not.toEqual(before.weights);
  model.dispose();
});

test('the command: as JSON and as a table', async () => {
  const argv = ['bench', '--random', tiny, '--mode', 'hard', '--engine', 'cpu', '--steps', '2', '--samples', '3'];
  argv.push('--prompt-tokens', '5', '--thought-tokens', '4', '--answer-tokens', '2');
  const { code, out } = await runInProcess([...argv, '--recompute', '--json']);
  expect(code).toBe(0);
  const report = JSON.parse(out);
  const layers = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32;
  expect(report).toMatchObject({
    engine: 'cpu',
    mode: 'hard',
    recompute: true,
    parameters: 40 * 32 + layers + 3 * 32,
    flops_per_step: 8 * (layers * (2 * 5 + 6 * 5) + 40 * 32 * 36),
  });
  expect(report.steps).toHaveLength(2);
  expect(report.tokens_per_s).toBeCloseTo(36 / report.step_s);
  expect(report.flop_share).toBeCloseTo(report.flops_per_step / report.step_s / (report.peak_gflops * 1e9));
  expect(report.peak_rss_mb).toBeGreaterThan(10);

  const table = await runInProcess(argv);
  expect(table.out).toMatch(/^measured +median of 2 +unit\nrollout +\d+\.\d{3} +s\n/);
  for (const line of table.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
});
