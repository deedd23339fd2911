import type { Mode, SettingName } from '@soft-tokens/samplers';
import pico from 'picocolors';
import { expect, test } from 'vitest';
import { paperTable, trainingTable } from './paperTable.js';
import type { ModelResult, RunResults } from './results.js';
import { summaryOf } from './test/tools.js';

/** A row of the paper's table 3 (Llama 3B on GSM8K), as results of a run. */
function row(subject: ModelResult['subject'], percentages: number[]): ModelResult {
  const kinds: Mode[] = ['hard', 'fuzzy', 'soft'];
  const settings = kinds.flatMap((kind, i) => {
    const [greedy, one, all] = percentages.slice(3 * i, 3 * i + 3).map((value) => value / 100);
    const result = (setting: SettingName, samples: number, passAtK: { k: number; value: number }[]) =>
      summaryOf(setting, samples, passAtK);
    return [
      result(`${kind}-greedy`, 1, [{ k: 1, value: greedy! }]),
      result(`${kind}-sample`, 32, [
        { k: 1, value: one! },
        { k: 32, value: all! },
      ]),
    ];
  });
  return { subject, directory: null, sets: [{ set: 'gsm8k', questions: 100, settings }], outOfDomain: [] };
}

const results: RunResults = {
  model: 'Llama-3.2-3B-Instruct',
  trainedOn: 'gsm8k',
  seed: 1,
  evaluation: {
    samples: 32,
    k: [1, 32],
    noise: { factor: 0.33, scale: 'entry' },
    caps: { thought: 512, answer: 32 },
    seed: 1,
  },
  trainedWith: { noise: { factor: 0.33, scale: 'entry' }, temperature: {} },
  training: [
    {
      mode: 'hard',
      steps: 40,
      reward: { first: 41.25, last: 50, window: 20 },
      validation: { base: 0.4, best: 0.45, bestStep: 30 },
    },
  ],
  models: [
    row('base', [71.4, 45.0, 96.8, 70.5, 69.3, 93.9, 68.4, 65.2, 94.9]),
    row('hard', [75.9, 74.3, 94.1, 75.5, 74.7, 92.3, 75.7, 74.2, 92.6]),
    row('fuzzy', [76.7, 66.4, 97.4, 76.4, 75.2, 92.0, 75.1, 73.5, 93.5]),
    row('soft', [77.2, 70.5, 97.9, 76.8, 76.0, 100, 74.5, 74.1, 94.2]),
  ],
};

test("the layout of the paper's table 3, the best of each column marked", () => {
  const table = paperTable(results, 'gsm8k', pico.createColors(false));
  expect(table).toBe(
    [
      'trained   HG   HS1  HS32    FG   FS1   FS32    SG   SS1  SS32',
      'none    71.4  45.0  96.8  70.5  69.3   93.9  68.4  65.2  94.9*',
      'hard    75.9  74.3* 94.1  75.5  74.7   92.3  75.7* 74.2* 92.6',
      'fuzzy   76.7  66.4  97.4  76.4  75.2   92.0  75.1  73.5  93.5',
      'soft    77.2* 70.5  97.9* 76.8* 76.0* 100.0* 74.5  74.1  94.2',
      '',
      '% correct of 100 held-out questions (standard error <= 5.0); * best.',
      'Rows: how the model was trained. Columns: how it thinks when tested, Hard, Fuzzy',
      'or Soft; G greedy, S1 sampled (mean of 32), S32 any of 32 samples (pass@32).',
      'FS and SS are tested at noise σ = 0.33 rms of the embedding.',
    ].join('\n'),
  );
  const [withMost] = [...table.split('\n')].sort((a, b) => b.length - a.length);
  expect(withMost!.length).toBeLessThanOrEqual(80);
});

test('settings that were not evaluated have no column', () => {
  const models = results.models.map((model) => ({
    ...model,
    sets: model.sets.map((result) => ({
      ...result,
      settings: result.settings.filter(({ setting }) => setting === 'soft-greedy'),
    })),
  }));
  expect(paperTable({ ...results, models }, 'gsm8k', pico.createColors(false)).split('\n')[0]).toBe('trained   SG');
});

test('the legend says what was trained otherwise than it is tested', () => {
  const last = (changes: Partial<RunResults>) =>
    paperTable({ ...results, ...changes }, 'gsm8k', pico.createColors(false))
      .split('\n')
      .at(-1);
  const soft = { ...results.training[0]!, mode: 'soft' as const };
  const fuzzy = { ...soft, mode: 'fuzzy' as const };
  const trainedWith: RunResults['trainedWith'] = {
    noise: { factor: 1, scale: 'row' },
    temperature: { soft: 0.5, fuzzy: 0.1 },
  };
  expect(last({ trainedWith, training: [soft, fuzzy] })).toBe(
    "Trained at σ = 1 rms of the embedding's rows; τ: fuzzy 0.1.",
  );
  expect(last({ trainedWith: { ...trainedWith, noise: results.evaluation!.noise }, training: [fuzzy] })).toBe(
    'Trained at τ: fuzzy 0.1.',
  );
  const placed = (noise: RunResults['trainedWith']['noise']) =>
    last({ trainedWith: { noise, temperature: {} }, training: [soft] });
  const { factor, scale } = results.evaluation!.noise;
  expect(placed({ factor, scale, placement: 'hidden' })).toBe('Trained at σ = 0.33 rms of the final hidden states.');
  expect(placed({ factor, scale, placement: 'logits' })).toBe('Trained at σ = 0.33 rms of the logits.');
  expect(placed({ factor, scale, placement: 'topk', k: 5 })).toBe(
    'Trained at σ = 0.33 rms of the logits, on the 5 largest alone.',
  );
  expect(placed({ factor, scale, placement: 'embedding' })).toMatch(/^FS and SS are tested/);
  // Hard thoughts have no noise.
  expect(last({ trainedWith })).toBe('FS and SS are tested at noise σ = 0.33 rms of the embedding.');
});

test('how training went', () => {
  expect(trainingTable(results).split('\n').slice(0, 2)).toEqual([
    'trained  steps        reward    validation  best step',
    'hard        40  41.3 -> 50.0  40.0 -> 45.0         30',
  ]);
});
