// Recipes, formats and the tiny model that packages agree on.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prefill, stopPhrase } from '@soft-tokens/datasets';
import { binomialStandardError } from '@soft-tokens/metrics';
import { loadModelDirectory, tinyModelDirectory } from '@soft-tokens/models';
import { paperFormat, type SettingName } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, expect, test } from 'vitest';
import { problemsOf, toQuestion } from './config/data.js';
import { loadSftRecipe, loadTrainRecipe } from './config/load.js';
import { parseSetting } from './config/set.js';
import { evaluateSetting } from './evaluation.js';
import { evaluationFiles } from './jobs/layout.js';
import { temporaryFolder } from './test/tools.js';
import { sigmaOf } from './training.js';

const folder = temporaryFolder();
afterAll(folder.remove);

const recipes = fileURLToPath(new URL('../../../recipes/', import.meta.url));
const tiny = tinyModelDirectory;

test.each(readdirSync(recipes).filter((name) => name.endsWith('.yaml')))('%s is a recipe', async (name) => {
  // What the reader has to bring: any model directory and any files do to parse it.
  const brought = ['gsm8k.yaml', 'smollm2.yaml'].includes(name) ? ['model', 'data.train', 'data.test'] : [];
  const set = brought.map((key) => parseSetting(`${key}=${key === 'model' ? tiny : join(tiny, 'config.json')}`));
  const load = name.endsWith('sft.yaml') ? loadSftRecipe : loadTrainRecipe;
  expect((await load(join(recipes, name), set)).steps).toBeGreaterThan(0);
});

test('decoding and data sets have one format', () => {
  expect(paperFormat).toEqual({ stopPhrase, prefill });
});

test('the tiny model is small, solves a part of the problems, and noise takes little from it', async () => {
  const bytes = readdirSync(tiny).reduce((sum, name) => sum + statSync(join(tiny, name)).size, 0);
  expect(bytes).toBeLessThanOrEqual(2e6);

  await useEngine('wasm');
  const subject = await loadModelDirectory(tiny);
  const data = { kind: 'arithmetic', levels: [1, 2], train: 0, validation: 0, test: 100, seed: 2 } as const;
  const problems = await problemsOf({ ...data, levels: [...data.levels] }, 'test');
  const questions = problems.map((problem) => toQuestion(problem, 'plain', subject.tokenizer));
  const accuracy = async (setting: SettingName) => {
    const { passAtK } = await evaluateSetting({
      subject,
      sigma: sigmaOf(subject, { factor: 0.33, scale: 'entry' }),
      setting,
      problems,
      questions,
      samples: 8,
      k: [1],
      caps: { thought: 32, answer: 6 },
      seed: 1,
      files: evaluationFiles(folder.path, setting),
      signal: new AbortController().signal,
    });
    return passAtK[0]!.value;
  };
  const greedy = await accuracy('hard-greedy');
  expect(greedy).toBeGreaterThan(0.3);
  expect(greedy).toBeLessThan(0.6);
  // 5 points, and a standard error: a question's samples succeed or fail nearly together, so 100 are counted, not 800.
  const margin = 0.05 + binomialStandardError(Math.round(100 * greedy), 100);
  for (const setting of ['soft-sample', 'fuzzy-sample'] as const) {
    const value = await accuracy(setting);
    expect(Math.abs(value - greedy), `${setting} ${value}, hard-greedy ${greedy}`).toBeLessThanOrEqual(margin);
  }
  subject.model.dispose();
});
