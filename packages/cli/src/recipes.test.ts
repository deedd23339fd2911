// Recipes, formats and the tiny model that packages agree on.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prefill, stopPhrase } from '@soft-tokens/datasets';
import { binomialStandardError } from '@soft-tokens/metrics';
import { loadModelDirectory, tinyModelDirectory } from '@soft-tokens/models';
import { paperFormat, type SettingName } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { problemsOf, toQuestion } from './config/data.js';
import { loadSftRecipe, loadTrainRecipe } from './config/load.js';
import { parseSetting } from './config/set.js';
import { evaluateSetting } from './evaluation.js';
import { evaluationFiles } from './jobs/layout.js';
import { readSweep } from './sweep/file.js';
import { planSweep } from './sweep/plan.js';
import { temporaryFolder } from './test/tools.js';
import { sigmaOf } from './training.js';

const folder = temporaryFolder();
afterAll(folder.remove);

const recipes = fileURLToPath(new URL('../../../recipes/', import.meta.url));
const tiny = tinyModelDirectory;
const anyFile = join(tiny, 'config.json');

/** The YAML files of a directory of recipes: those that are complete, and the sweeps over one of them. */
const filesIn = (directory: string) =>
  readdirSync(directory).filter((name) => name.endsWith('.yaml') && name !== 'common.yaml');
const isSweep = (file: string) => 'recipe' in parse(readFileSync(file, 'utf8'));

test.each(filesIn(recipes))('%s is a recipe', async (name) => {
  // What the reader has to bring: any model directory and any files do to parse it.
  const brought = ['gsm8k.yaml', 'smollm2.yaml'].includes(name) ? ['model', 'data.train', 'data.test'] : [];
  const set = brought.map((key) => parseSetting(`${key}=${key === 'model' ? tiny : anyFile}`));
  const load = name.endsWith('sft.yaml') ? loadSftRecipe : loadTrainRecipe;
  expect((await load(join(recipes, name), set)).steps).toBeGreaterThan(0);
});

describe('the recipes of the paper', () => {
  const paper = join(recipes, 'paper');
  const sets = ['sets.gsm8k', 'sets.math500', 'sets.olympiadbench', 'outOfDomain.hellaswag', 'outOfDomain.arc'];
  const brought = [...sets.map((set) => `evaluate.${set}.test`), 'evaluate.outOfDomain.mmlu.test', 'data.train'];
  const load = (name: string, ...set: string[]) =>
    loadTrainRecipe(
      join(paper, name),
      [`model=${tiny}`, ...brought.map((key) => `${key}=${anyFile}`), ...set].map(parseSetting),
    );
  const [llama3, llama8, qwen] = [
    'meta-llama/Llama-3.2-3B-Instruct',
    'meta-llama/Llama-3.1-8B-Instruct',
    'Qwen/Qwen2.5-3B-Instruct',
  ];
  /** METHOD A6: model, training set, cap of a thought in training, learning rate. */
  const table: Record<string, [string, string, number, number]> = {
    'llama-3b-gsm8k.yaml': [llama3!, 'gsm8k', 128, 6e-6],
    'llama-3b-math.yaml': [llama3!, 'math', 512, 6e-6],
    'llama-3b-deepscaler.yaml': [llama3!, 'deepscaler', 512, 6e-6],
    'llama-8b-gsm8k.yaml': [llama8!, 'gsm8k', 128, 3e-6],
    'qwen-3b-math.yaml': [qwen!, 'math', 512, 8e-6],
  };
  const names = filesIn(paper);
  const sweeps = names.filter((name) => isSweep(join(paper, name)));

  test('there is one for each model and training set, and three seeds of each', () => {
    const runs = Object.keys(table);
    expect(names.filter((name) => !sweeps.includes(name)).sort()).toEqual(runs.sort());
    const seeds = runs.map((name) => `seeds-${name}`);
    expect([...sweeps].sort()).toEqual([...seeds, 'noise-scale.yaml', 'placement.yaml', 'temperature.yaml'].sort());
  });

  test.each(Object.entries(table))('%s has its settings', async (name, [model, kind, thought, learningRate]) => {
    expect(parse(readFileSync(join(paper, name), 'utf8')).model).toBe(model);
    const config = await load(name);
    expect(config).toMatchObject({
      data: { kind },
      prompt: 'paper',
      modes: ['hard', 'fuzzy', 'soft'],
      noise: { factor: 0.33, scale: 'entry' },
      temperature: {},
      steps: 4000,
      questionsPerStep: 2,
      samples: 32,
      answerTemperature: 1,
      caps: { thought, answer: 32 },
      reward: { correct: 100, boxed: 10, none: 0 },
      advantage: 'leaveOneOut',
      optimizer: { learningRate, warmup: 20, floor: 0 },
      evaluate: { samples: 32, k: [1, 2, 4, 8, 16, 32], caps: { thought: 512, answer: 32 }, noise: { factor: 0.33 } },
    });
    for (const key of ['kl', 'stopWhen', 'lora'] as const) expect(config[key]).toBeUndefined();
    expect(config.evaluate!.settings).toBeUndefined(); // all six
    expect(Object.keys(config.evaluate!.sets!)).toEqual(['gsm8k', 'math500', 'olympiadbench']);
    expect(Object.keys(config.evaluate!.outOfDomain)).toEqual(['hellaswag', 'arc', 'mmlu']);
  });

  test.each(sweeps)('%s varies a recipe that is there, by keys that it has', async (name) => {
    const flags = [`model=${tiny}`, ...brought.map((key) => `${key}=${anyFile}`)].map(parseSetting);
    const sweep = await readSweep(join(paper, name), flags);
    expect(Object.keys(table)).toContain(basename(sweep.recipe));
    const runs = await planSweep(sweep, folder.path);
    expect(runs).toHaveLength(sweep.factors.reduce((product, { choices }) => product * choices.length, 1));
    // The base is tested alike by every run, so once.
    expect(new Set(runs.map(({ config }) => config.evaluate!.seed)).size).toBe(1);
  });

  test('the ablations are those of appendix F', () => {
    const read = (name: string) => parse(readFileSync(join(paper, name), 'utf8'));
    for (const name of ['noise-scale.yaml', 'placement.yaml', 'temperature.yaml']) {
      expect(read(name)).toMatchObject({ recipe: 'llama-3b-gsm8k.yaml', vary: { seed: [1, 2] } });
    }
    expect(read('noise-scale.yaml')).toMatchObject({
      set: { modes: ['fuzzy'] },
      vary: { 'noise.factor': [0.1, 0.33, 1, 3] },
    });
    expect(read('temperature.yaml')).toMatchObject({
      set: { modes: ['fuzzy'] },
      vary: { 'temperature.fuzzy': [1e-4, 1e-3, 1e-2, 1e-1] },
    });
    const both = ['fuzzy', 'soft'];
    const topK = (k: number) => ({ modes: ['soft'], temperature: { soft: 1 }, noise: { placement: 'topk', k } });
    expect(read('placement.yaml').variants).toEqual({
      embedding: { modes: both },
      hidden: { modes: both, noise: { placement: 'hidden' } },
      logits: { modes: both, noise: { placement: 'logits' } },
      'top-5': topK(5),
      'top-50': topK(50),
    });
    for (const name of Object.keys(table)) {
      expect(read(`seeds-${name}`)).toEqual({ recipe: name, vary: { seed: [1, 2, 3] } });
    }
  });
});

test("the README's sweep is one", async () => {
  const readme = readFileSync(join(recipes, 'README.md'), 'utf8');
  const file = join(folder.path, 'readme.yaml');
  const text = /```yaml\n(recipe: .*?)```/s.exec(readme)![1]!;
  writeFileSync(file, text.replace('gsm8k.yaml', join(recipes, 'gsm8k.yaml')));
  const flags = [`model=${tiny}`, `data.train=${anyFile}`, `data.test=${anyFile}`].map(parseSetting);
  expect(await planSweep(await readSweep(file, flags), folder.path)).toHaveLength(4 * 3 * 2);
});

const reproduction = join(recipes, 'reproduction');

test.each(filesIn(reproduction))('%s of the reproduction is a recipe, or a sweep of one', async (name) => {
  const file = join(reproduction, name);
  if (!isSweep(file)) expect((await loadTrainRecipe(file, [])).steps).toBeGreaterThan(0);
  else expect((await planSweep(await readSweep(file, []), folder.path)).length).toBeGreaterThan(1);
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
