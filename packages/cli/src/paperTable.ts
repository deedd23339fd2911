// The results of a run in the layout of the paper's table 3.

import { binomialStandardError } from '@soft-tokens/metrics';
import { paperTemperatures } from '@soft-tokens/samplers';
import { match } from 'ts-pattern';
import type { TrainingNoiseConfig } from './config/recipe.js';
import type { Colors } from './io.js';
import { tableModes } from './jobs/tasks.js';
import type { ModelResult, RunResults } from './results.js';
import { formatTable, percent, wrap } from './table.js';

interface Column {
  heading: string;
  value(model: ModelResult): number | undefined;
}

/** A table for each test set. */
export function paperTables(results: RunResults, colors: Colors): string {
  const sets = results.models[0]?.sets ?? [];
  const tables = sets.map(({ set }) => `${sets.length > 1 ? `${set}\n\n` : ''}${paperTable(results, set, colors)}`);
  return tables.join('\n\n');
}

/**
 * Columns HG, HS1, HS32, FG, ...: thoughts at inference (Hard, Fuzzy, Soft), Greedy or Sampled, and k of pass@k. Rows:
 * how the model was trained. Percentages; `*` marks the best of a column.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, table 3.
 */
export function paperTable(results: RunResults, set: string, colors: Colors): string {
  const columns = columnsOf(results, set).filter(({ value }) =>
    results.models.some((model) => value(model) !== undefined),
  );
  const rows = results.models.map((model) => [
    model.subject === 'base' ? 'none' : model.subject,
    ...columns.map(({ value }) => {
      const share = value(model);
      if (share === undefined) return '';
      const best = Math.max(...results.models.map((other) => value(other) ?? 0));
      // A mark for everyone, bold besides where there is colour.
      return best > 0 && percent(share) === percent(best) && results.models.length > 1
        ? colors.bold(`${percent(share)}*`)
        : `${percent(share)} `;
    }),
  ]);
  const table = formatTable(['trained', ...columns.map(({ heading }) => `${heading} `)], rows, 1);
  return `${table}\n\n${legend(results, set)}`;
}

function columnsOf({ evaluation }: RunResults, set: string): Column[] {
  const samples = evaluation?.samples ?? 1;
  return tableModes.flatMap((kind) => {
    const letter = kind[0]!.toUpperCase();
    const at = (setting: string, k: number) => (model: ModelResult) =>
      model.sets
        .find((result) => result.set === set)
        ?.settings.find((result) => result.setting === setting)
        ?.passAtK.find((point) => point.k === k)?.value;
    return [
      { heading: `${letter}G`, value: at(`${kind}-greedy`, 1) },
      { heading: `${letter}S1`, value: at(`${kind}-sample`, 1) },
      ...(samples > 1 ? [{ heading: `${letter}S${samples}`, value: at(`${kind}-sample`, samples) }] : []),
    ];
  });
}

function legend(results: RunResults, set: string): string {
  const { samples, noise } = results.evaluation!;
  const questions = results.models[0]!.sets.find((result) => result.set === set)!.questions;
  const error = percent(binomialStandardError(Math.round(questions / 2), questions));
  return [
    `% correct of ${questions} held-out questions (standard error <= ${error}); * best.`,
    'Rows: how the model was trained. Columns: how it thinks when tested, Hard, Fuzzy',
    `or Soft; G greedy, S1 sampled (mean of ${samples}), S${samples} any of ${samples} samples (pass@${samples}).`,
    `FS and SS are tested at noise σ = ${noiseText(noise)}.`,
    ...trainedOtherwise(results),
  ].join('\n');
}

/** A noise in words. */
const noiseText = ({ factor, scale, placement = 'embedding', k }: TrainingNoiseConfig) => {
  const what = match(placement)
    .with('embedding', () => `embedding${scale === 'row' ? "'s rows" : ''}`)
    .with('hidden', () => 'final hidden states')
    .with('logits', () => 'logits')
    .with('topk', () => `logits, on the ${k} largest alone`)
    .exhaustive();
  return `${factor} rms of the ${what}`;
};

/** What the modes were trained at, where it is not what they are tested at. */
function trainedOtherwise({ evaluation, trainedWith, training }: RunResults): string[] {
  const modes = training.map(({ mode }) => mode);
  const { noise: own, temperature } = trainedWith;
  const noisy = modes.some((mode) => mode !== 'hard');
  const other = noisy && noiseText(own) !== noiseText(evaluation!.noise);
  const warmer = modes.flatMap((mode) => {
    const value = temperature[mode];
    return value === undefined || value === paperTemperatures[mode] ? [] : [`${mode} ${value}`];
  });
  const parts = [
    ...(other ? [`σ = ${noiseText(own)}`] : []),
    ...(warmer.length > 0 ? [`τ: ${warmer.join(', ')}`] : []),
  ];
  return parts.length > 0 ? [wrap(`Trained at ${parts.join('; ')}.`)] : [];
}

/** How training went, a row a mode. */
export function trainingTable({ training }: RunResults): string {
  const rows = training.map(({ mode, steps, reward, validation }) => [
    mode,
    String(steps),
    `${reward.first.toFixed(1)} -> ${reward.last.toFixed(1)}`,
    `${percent(validation.base)} -> ${percent(validation.best)}`,
    String(validation.bestStep),
  ]);
  const window = training[0]?.reward.window ?? 0;
  const table = formatTable(['trained', 'steps', 'reward', 'validation', 'best step'], rows);
  const spans = window === 1 ? 'step' : `${window} steps`;
  return `${table}\n\nReward: mean of the first and last ${spans}. Validation: greedy, %.`;
}
