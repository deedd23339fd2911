import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModelDirectory, stateRms, tinyModelDirectory } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, expect, test } from 'vitest';
import { trainSchema } from '../config/recipe.js';
import { readLines } from '../jsonLines.js';
import { temporaryFolder } from '../test/tools.js';
import { sigmaOf, trainingNoiseOf } from '../training.js';
import { layout } from './layout.js';
import { type MetricsRecord, type TrainedRecord, trainTask } from './trainTask.js';

const folder = temporaryFolder();
afterAll(folder.remove);

const placements = [
  { placement: 'embedding' },
  { placement: 'hidden' },
  { placement: 'logits' },
  { placement: 'topk', k: 5 },
] as const;

test('a mode is trained with its noise where the recipe says', async () => {
  await useEngine('wasm');
  const losses: number[] = [];
  for (const noise of [{}, ...placements]) {
    const config = trainSchema.parse({
      model: tinyModelDirectory,
      data: { kind: 'arithmetic', levels: [2], train: 20, validation: 2 },
      noise: { factor: 1, ...noise },
      steps: 1,
      questionsPerStep: 8,
      samples: 4,
      caps: { thought: 48, answer: 6 },
      optimizer: { learningRate: 1e-4, warmup: 0 },
    });
    const directory = join(folder.path, String(losses.length));
    await trainTask({ config, directory, signal: new AbortController().signal, emit: () => {} }, 'soft');
    expect(existsSync(layout.marker(directory, { kind: 'train', mode: 'soft' }))).toBe(true);
    const records = await readLines<MetricsRecord>(layout.metrics(directory, 'soft'));
    const step = records.find((record) => record.type === 'step')!;
    expect(step.gradientNorm).toBeGreaterThan(0);
    losses.push(step.loss);
  }
  expect(losses[1]).toBe(losses[0]); // the embedding, unless said
  expect(new Set(losses).size).toBe(placements.length);
});

test('rewards, baseline, penalty and early stop are the recipe’s', async () => {
  await useEngine('wasm');
  const outcomes: { steps: Extract<MetricsRecord, { type: 'step' }>[]; trained: TrainedRecord }[] = [];
  const variants = [
    {},
    { reward: { correct: 7, boxed: 2, none: 1 } },
    { advantage: 'aboutMean' },
    { kl: { coefficient: 1 } },
    { kl: { coefficient: 1, in: 'loss' } },
    { kl: { coefficient: 1 }, lora: { r: 2 } },
    { stopWhen: { patience: 1 }, optimizer: { learningRate: 1e-12, warmup: 0 } }, // nothing ever gets better
  ];
  for (const keys of variants) {
    const config = trainSchema.parse({
      model: tinyModelDirectory,
      data: { kind: 'arithmetic', levels: [1], train: 20, validation: 2 },
      steps: 3,
      questionsPerStep: 2,
      samples: 4,
      caps: { thought: 24, answer: 6 },
      optimizer: { learningRate: 1e-4, warmup: 0 },
      validateEvery: 1,
      ...keys,
    });
    const directory = join(folder.path, `options-${outcomes.length}`);
    await trainTask({ config, directory, signal: new AbortController().signal, emit: () => {} }, 'soft');
    const records = await readLines<MetricsRecord>(layout.metrics(directory, 'soft'));
    outcomes.push({
      steps: records.filter((record) => record.type === 'step'),
      trained: JSON.parse(readFileSync(layout.marker(directory, { kind: 'train', mode: 'soft' }), 'utf8')),
    });
  }
  const [usual, amounts, about, inReward, inLoss, lora, stopped] = outcomes.map(({ steps }) => steps);
  const share = ({ correct, boxed }: { correct: number; boxed: number }) =>
    7 * correct + 2 * (boxed - correct) + 1 - boxed;
  expect(amounts![0]!.reward).toBeCloseTo(share(usual![0]!), 6);
  expect(about![0]!.loss / usual![0]!.loss).toBeCloseTo(3 / 4, 4);
  expect(usual![1]!.kl).toBeUndefined();
  for (const held of [inReward, inLoss, lora]) {
    expect(held![0]!.kl).toBe(0);
    expect(held!.at(-1)!.kl).not.toBe(0);
  }
  expect(outcomes[0]!.trained).toMatchObject({ steps: 3, stoppedEarly: false });
  expect(outcomes.at(-1)!.trained).toMatchObject({ steps: 2, stoppedEarly: true, best: { step: 1 } });
  expect(stopped!.length).toBe(2);
});

test('σ is a factor of the size of what the noise is added to, over the first prompts', async () => {
  await useEngine('wasm');
  const subject = await loadModelDirectory(tinyModelDirectory);
  const prompts = Array.from({ length: 20 }, (_, i) =>
    subject.tokenizer.promptIds(`User: What is ${i} + 2? Assistant:`),
  );
  const { hidden, logits } = stateRms(subject.model, prompts.slice(0, 16));
  const noise = { factor: 2, scale: 'entry' } as const;
  const sigmas = placements.map((placed) => trainingNoiseOf(subject, { ...noise, ...placed }, prompts).sigma);
  expect(sigmas).toEqual([sigmaOf(subject, noise), 2 * hidden, 2 * logits, 2 * logits]);
  expect(new Set(sigmas).size).toBe(3);
  subject.model.dispose();
});
