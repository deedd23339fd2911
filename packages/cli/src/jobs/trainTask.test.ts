import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadModelDirectory, stateRms, tinyModelDirectory } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, expect, test } from 'vitest';
import { trainSchema } from '../config/recipe.js';
import { readLines } from '../jsonLines.js';
import { temporaryFolder } from '../test/tools.js';
import { sigmaOf, trainingNoiseOf } from '../training.js';
import { layout } from './layout.js';
import { type MetricsRecord, trainTask } from './trainTask.js';

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
