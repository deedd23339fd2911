// What came of a run: read from what its tasks wrote, as numbers and as the paper's table.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Mode, SettingName } from '@soft-tokens/samplers';
import type { NoiseConfig, TrainConfig, TrainingNoiseConfig } from './config/recipe.js';
import type { SettingResult } from './evaluation.js';
import { evaluationOf } from './jobs/evaluateTask.js';
import { layout } from './jobs/layout.js';
import { type SubjectName, settingsOf } from './jobs/tasks.js';
import type { MetricsRecord, TrainedRecord } from './jobs/trainTask.js';
import { readLines } from './jsonLines.js';

/** One model of the run. */
export interface ModelResult {
  subject: SubjectName;
  /** Its Hugging Face directory, relative to the run folder; `null` for the model the run started from. */
  directory: string | null;
  settings: Array<Omit<SettingResult, 'questions' | 'seconds'>>;
}

/** How a mode's training went. */
export interface TrainingResult {
  mode: Mode;
  steps: number;
  /** Mean reward of the first and of the last steps, as many as `window`, each at most half of all. */
  reward: { first: number; last: number; window: number };
  /** Greedy validation accuracy, 0 to 1, before training and of the best model, and the step that one is of. */
  validation: { base: number; best: number; bestStep: number };
}

/** The content of results.json. */
export interface RunResults {
  questions: number;
  samples: number;
  k: number[];
  /** Of the noisy settings when tested: σ = factor · rms of the embedding, per entry or of a row. */
  noise: NoiseConfig;
  /** How the modes' thoughts were drawn while training. A temperature that is absent is the paper's. */
  trainedWith: { noise: TrainingNoiseConfig; temperature: TrainConfig['temperature'] };
  training: TrainingResult[];
  models: ModelResult[];
}

/** The rows of the table, in the paper's order. */
const subjects: readonly SubjectName[] = ['base', 'hard', 'fuzzy', 'soft'];

const WINDOW = 20;

/** Collects the results of a finished run. */
export async function collectResults(config: TrainConfig, directory: string): Promise<RunResults> {
  const { samples, k, noise } = evaluationOf(config);
  const training = await Promise.all(modesOf(config).map((mode) => trainingResult(directory, mode)));
  let questions = 0;
  const models: ModelResult[] = [];
  for (const subject of config.evaluate ? subjects : []) {
    if (subject !== 'base' && !config.modes.includes(subject)) continue;
    const settings: ModelResult['settings'] = [];
    for (const setting of settingsOf(config)) {
      const { questions: each, seconds: _, ...rest } = await readSetting(directory, subject, setting);
      questions = each.length;
      settings.push(rest);
    }
    models.push({ subject, directory: subject === 'base' ? null : layout.best('', subject), settings });
  }
  const trainedWith = { noise: config.noise, temperature: config.temperature };
  return { questions, samples, k, noise, trainedWith, training, models };
}

/** The modes a run trains, in the order of the table. */
export function modesOf({ modes }: TrainConfig): Mode[] {
  return subjects.filter((subject): subject is Mode => subject !== 'base' && modes.includes(subject));
}

async function readSetting(directory: string, subject: SubjectName, setting: SettingName): Promise<SettingResult> {
  return JSON.parse(await readFile(layout.evaluation(directory, subject, setting), 'utf8')) as SettingResult;
}

async function trainingResult(directory: string, mode: Mode): Promise<TrainingResult> {
  const { steps, best } = JSON.parse(
    await readFile(layout.marker(directory, { kind: 'train', mode }), 'utf8'),
  ) as TrainedRecord;
  const records = await readLines<MetricsRecord>(layout.metrics(directory, mode));
  const rewards = records.flatMap((record) => (record.type === 'step' ? [record.reward] : []));
  const base = records.find((record) => record.type === 'validation' && record.step === 0);
  const window = Math.max(1, Math.min(WINDOW, Math.floor(rewards.length / 2)));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    mode,
    steps,
    reward: { first: mean(rewards.slice(0, window)), last: mean(rewards.slice(-window)), window },
    validation: {
      base: base?.type === 'validation' ? base.accuracy : Number.NaN,
      best: best.accuracy,
      bestStep: best.step,
    },
  };
}

/** Whether a task's result is there already. */
export function isFinished(marker: string): boolean {
  return existsSync(marker);
}
