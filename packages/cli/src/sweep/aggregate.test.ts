import { expect, test } from 'vitest';
import { groupsOf, type SweptRun, spreadOf } from './aggregate.js';
import type { Observation, RunNumbers } from './observations.js';
import type { SweepResults } from './run.js';
import { sweepCsv, sweepMarkdown, sweepText } from './tables.js';

const tested = (subject: string, setting: string, metric: string, value: number): Observation => ({
  subject,
  set: 'gsm8k',
  setting,
  metric,
  value,
});

const numbers = (...observations: Observation[]): RunNumbers => ({ observations, questions: { gsm8k: 140 } });

function run(factor: string, seed: string, own: RunNumbers | null): SweptRun {
  const labels = { 'noise.factor': factor, seed };
  return { name: `noise.factor=${factor},seed=${seed}`, labels, subjects: ['base', 'fuzzy'], numbers: own };
}

/** Two settings of the model trained in fuzzy thoughts, and how it was trained. */
const fuzzy = (one: number, many: number): RunNumbers =>
  numbers(
    { subject: 'fuzzy', set: null, setting: null, metric: 'validation best', value: one },
    tested('fuzzy', 'fuzzy-sample', 'pass@1', one),
    tested('fuzzy', 'fuzzy-sample', 'pass@32', many),
    tested('fuzzy', 'fuzzy-sample', 'majority@32', one),
    tested('base', 'fuzzy-sample', 'pass@1', 0.25),
  );

const runs = [
  run('0.1', '1', fuzzy(0.5, 0.75)),
  run('1', '1', fuzzy(0.1, 0.2)),
  run('0.1', '2', fuzzy(0.6, 0.85)),
  run('1', '2', null),
  run('0.1', '3', fuzzy(0.7, 0.8)),
  run('1', '3', fuzzy(0.3, 0.6)),
  run('3', '1', null),
  run('3', '2', null),
  run('3', '3', null),
];

const results = (swept: SweptRun[]): SweepResults => ({
  name: 'noise',
  runs: [],
  questions: { gsm8k: 140 },
  groups: groupsOf(swept),
});

test.each([
  // The values and the sum of squares by hand: (1² + 0 + 1²) / 2 = 1; (0.1²·2) / 1 = 0.02.
  [[1, 2, 3], 2, 1],
  [[0.1, 0.3], 0.2, Math.sqrt(0.02)],
  [[2, 4, 4, 4, 5, 5, 7, 9], 5, Math.sqrt(32 / 7)],
])('mean and sample standard deviation of %j', (values, mean, sd) => {
  const spread = spreadOf(values);
  expect(spread.n).toBe(values.length);
  expect(spread.mean).toBeCloseTo(mean, 12);
  expect(spread.sd).toBeCloseTo(sd, 12);
});

test('of one value there is no spread, of none no mean', () => {
  expect(spreadOf([0.4])).toEqual({ mean: 0.4, sd: null, n: 1 });
  expect(spreadOf([])).toEqual({ mean: null, sd: null, n: 0 });
});

test('runs that differ in their seeds only are one group; what is missing is in no average', () => {
  const groups = groupsOf(runs);
  expect(groups.map(({ labels }) => labels)).toEqual([
    { 'noise.factor': '0.1' },
    { 'noise.factor': '1' },
    { 'noise.factor': '3' },
  ]);
  const pass = (group: number) => groups[group]!.measures.find(({ metric }) => metric === 'pass@32')!;
  expect(pass(0)).toMatchObject({ subject: 'fuzzy', set: 'gsm8k', setting: 'fuzzy-sample', n: 3 });
  expect(pass(0).mean).toBeCloseTo(0.8, 12);
  expect(pass(0).sd).toBeCloseTo(0.05, 12);
  expect(pass(1).mean).toBeCloseTo(0.4, 12);
  expect(pass(1).sd).toBeCloseTo(Math.sqrt(0.08), 12);
  expect(pass(1).values).toEqual({ 'noise.factor=1,seed=1': 0.2, 'noise.factor=1,seed=3': 0.6 });
  expect(groups[1]!.missing).toEqual(['noise.factor=1,seed=2']);
  expect(pass(2)).toMatchObject({ mean: null, sd: null, n: 0 });
  expect(groups[2]!.missing).toHaveLength(3);
});

test('the text names the group, its seeds and what is missing', () => {
  const text = sweepText(results(runs));
  expect(text).toContain(`gsm8k: % correct of 140 questions
  trained        FS1       FS32       FM32
noise.factor=0.1: 3 seeds
  none      25.0±0.0
  fuzzy    60.0±10.0   80.0±5.0  60.0±10.0
noise.factor=1: 2 of 3 seeds
  none      25.0±0.0
  fuzzy    20.0±14.1  40.0±28.3  20.0±14.1
noise.factor=3: 0 of 3 seeds
  none       missing
  fuzzy      missing    missing    missing`);
  expect(text).toContain('Missing, and in no average:\n  noise.factor=1,seed=2\n  noise.factor=3,seed=1\n');
});

test('a value that a finished run does not have is counted', () => {
  const groups = [
    run('1', '1', fuzzy(0.1, 0.2)),
    run('1', '2', numbers(tested('fuzzy', 'fuzzy-sample', 'pass@1', 0.2))),
  ];
  expect(sweepText(results(groups))).toMatch(/fuzzy {4}15\.0±7\.1 +20\.0 \(1\)/);
});

test('the text fits 80 columns, however much is measured and however long names are', () => {
  const kinds = ['hard', 'soft', 'fuzzy'];
  const all = ['base', ...kinds].flatMap((subject) => [
    ...kinds.flatMap((kind) => [
      tested(subject, `${kind}-greedy`, 'pass@1', 1),
      tested(subject, `${kind}-sample`, 'pass@1', 1),
      tested(subject, `${kind}-sample`, 'pass@32', 1),
      tested(subject, `${kind}-sample`, 'majority@32', 1),
    ]),
    ...Array.from({ length: 12 }, (_, i) =>
      ['accuracy', 'nll'].map((metric) => ({ subject, set: `choices-${i}`, setting: null, metric, value: 1.23456 })),
    ).flat(),
  ]);
  const labels = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`key${i}`, 'v'.repeat(40)]));
  const swept = ['1', '2'].map((seed) => ({
    name: seed,
    labels: { ...labels, seed },
    subjects: ['base', ...kinds],
    numbers: numbers(...all),
  }));
  const text = sweepText(results(swept));
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(text).toMatch(/ {2}trained +HG +HS1 +FG +FS1 +SG +SS1\n/);
  expect(text).toMatch(/ {2}trained.* +HS32 +FS32 +SS32 +HM32 +FM32/);
  expect(text).toContain('1.235±0.000');
});

test('Markdown has a row for each group and model, CSV for each measure', () => {
  const markdown = sweepMarkdown(results(runs));
  expect(markdown).toContain('| noise.factor | trained | seeds | FS1 | FS32 | FM32 |\n| --- | --- | ---: |');
  expect(markdown).toContain('| 1 | fuzzy | 2 of 3 | 20.0±14.1 | 40.0±28.3 | 20.0±14.1 |');

  const lines = sweepCsv(results(runs)).trimEnd().split('\n');
  expect(lines[0]).toBe('noise.factor,subject,set,setting,metric,mean,sd,n,runs');
  expect(lines).toContain('0.1,base,gsm8k,fuzzy-sample,pass@1,0.25,0,3,3');
  expect(lines).toContain('3,fuzzy,gsm8k,fuzzy-sample,pass@32,,,0,3');
  expect(lines).toHaveLength(1 + 3 * 5);
});

test('CSV quotes what would fall apart', () => {
  const odd = { ...run('a', '1', fuzzy(0.5, 0.5)), labels: { 'data.limit': 'a,"b"', seed: '1' } };
  expect(sweepCsv(results([odd]))).toContain('\n"a,""b""",fuzzy,gsm8k,');
});
