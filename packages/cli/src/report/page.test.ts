import { parseHTML } from 'linkedom';
import { expect, test } from 'vitest';
import { trainSchema } from '../config/recipe.js';
import type { MetricsRecord } from '../jobs/trainTask.js';
import type { RunResults } from '../results.js';
import { summaryOf } from '../test/tools.js';
import { movingMean, percentRange } from './curves.js';
import { escapeHtml, reportPage } from './page.js';

const config = trainSchema.parse({
  model: '/data/someone/models/tiny',
  data: { kind: 'gsm8k', train: '/data/someone/<b>&"train.jsonl' },
  steps: 3,
  questionsPerStep: 2,
  samples: 4,
  caps: { thought: 8 },
  optimizer: { learningRate: 1e-4 },
});

const step = (n: number, reward: number): MetricsRecord => ({
  type: 'step',
  step: n,
  reward,
  correct: 0,
  boxed: 1,
  stopped: 1,
  thoughtTokens: 5,
  answerTokens: 2,
  loss: 0,
  gradientNorm: n === 2 ? 0 : 100, // no sample told apart: nothing to draw on a logarithmic axis
  learningRate: 1e-4,
  scored: 8,
  tokens: 56,
  rolloutSeconds: 1,
  updateSeconds: 1,
  memoryMiB: 100,
});

const logs = (['hard', 'soft'] as const).map((mode) => ({
  mode,
  records: [
    { type: 'validation', step: 0, accuracy: 0.5, questions: 20 } as const,
    step(1, 10),
    step(2, 20),
    step(3, 40),
    { type: 'validation', step: 3, accuracy: 0.75, questions: 20 } as const,
  ],
}));

const sampled = (values: number[]) =>
  summaryOf(
    'soft-sample',
    4,
    [1, 2, 4].map((k, i) => ({ k, value: values[i]! })),
  );
const results: RunResults = {
  model: 'tiny',
  trainedOn: 'arithmetic',
  seed: 1,
  evaluation: {
    samples: 4,
    k: [1, 2, 4],
    noise: { factor: 0.33, scale: 'entry' },
    caps: { thought: 32, answer: 6 },
    seed: 1,
  },
  trainedWith: { noise: { factor: 0.33, scale: 'entry' }, temperature: {} },
  training: [
    {
      mode: 'soft',
      steps: 3,
      reward: { first: 10, last: 40, window: 1 },
      validation: { base: 0.5, best: 0.75, bestStep: 3 },
    },
  ],
  models: [
    {
      subject: 'base',
      directory: null,
      sets: [{ set: 'arithmetic', questions: 10, settings: [sampled([0.25, 0.5, 0.75])] }],
      outOfDomain: [],
    },
    {
      subject: 'soft',
      directory: 'soft/checkpoints/best',
      sets: [{ set: 'arithmetic', questions: 10, settings: [sampled([0.5, 0.75, 1])] }],
      outOfDomain: [],
    },
  ],
};

const page = await reportPage(config, results, logs);

test('every element is closed, in order', () => {
  const open: string[] = [];
  const empty = new Set(['meta', '!doctype']);
  for (const [, slash, name, self] of page.matchAll(/<(\/?)([a-zA-Z!][\w-]*)(?:"[^"]*"|[^">])*?(\/?)>/g)) {
    if (empty.has(name!) || self) continue;
    if (slash) expect(open.pop()).toBe(name);
    else open.push(name!);
  }
  expect(open).toEqual([]);
});

test('needs nothing from anywhere', () => {
  const outside = page.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '').match(/https?:|<script|<link|@import|url\(|src=/g);
  expect(outside).toBeNull();
});

test('names no directory of the machine, and what it quotes is no markup', () => {
  expect(page).not.toContain('/data/someone');
  expect(page).not.toContain('<b>');
  expect(escapeHtml('<a href="&">')).toBe('&lt;a href=&quot;&amp;&quot;&gt;');
});

test('four plots of training and one for each sampled kind of thought, with units and numbers of samples', () => {
  const { document } = parseHTML(page);
  const labels = [...document.querySelectorAll('svg[aria-label]')].map((svg) => svg.getAttribute('aria-label'));
  expect(labels).toEqual([
    'Reward under its own sampling: reward, 0 to 100 (mean of 8 samples; bold: moving mean) over training step',
    'Greedy validation: correct, % of 20 questions over training step',
    'Gradient norm: global norm of the gradient (log scale) over training step',
    'Length of a thought: tokens (mean of 8 samples) over training step',
    'arithmetic: soft thoughts, sampled: pass@k, % (10 questions × 4 samples) over k (log scale)',
  ]);
  for (const svg of document.querySelectorAll('svg[aria-label]')) {
    expect(svg.querySelectorAll('path[d]').length).toBeGreaterThan(0);
    expect(svg.outerHTML).not.toContain('NaN');
  }
});

test('light and dark colours for every series', () => {
  expect(page.match(/--soft: #/g)).toHaveLength(2);
  expect(page).toContain('prefers-color-scheme: dark');
});

test('the moving mean of each series, shorter at the ends', () => {
  const points = Array.from({ length: 20 }, (_, i) => ({ series: 'soft' as const, x: i, y: i === 0 ? 3 : 0 }));
  expect(
    movingMean(points)
      .slice(0, 3)
      .map(({ y }) => y),
  ).toEqual([1.5, 1, 0]);
});

test('a scale of whole tens around the points, never narrower than ten', () => {
  const points = (...values: number[]) => values.map((y) => ({ series: 'soft' as const, x: 1, y }));
  expect(percentRange(points(93.1, 95))).toEqual([90, 100]);
  expect(percentRange(points(41, 58.2))).toEqual([40, 60]);
  expect(percentRange(points(100))).toEqual([90, 100]);
  expect(percentRange(points(0))).toEqual([0, 10]);
});
