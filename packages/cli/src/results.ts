// What came of a run: read from what its tasks wrote, as numbers and as the paper's table.
import { existsSync } from 'node:fs';
import type { Mode, SettingName } from '@soft-tokens/samplers';
import { display } from './config/paths.js';
import type { Caps, NoiseConfig, TrainConfig, TrainingNoiseConfig } from './config/recipe.js';
import { evaluationOf } from './jobs/evaluateTask.js';
import { layout } from './jobs/layout.js';
import {
  choiceSetsOf,
  type SubjectName,
  setNameOf,
  settingsOf,
  tableModes,
  tableSubjects,
  testSetsOf,
} from './jobs/tasks.js';
import type { MetricsRecord, TrainedRecord } from './jobs/trainTask.js';
import { readLines, readResult } from './jsonLines.js';
import type { LikelihoodResult } from './likelihood.js';
import { modelName } from './model.js';
import type { SettingSummary } from './summary.js';

/** One model of the run. */
export interface ModelResult {
  subject: SubjectName;
  /** Its Hugging Face directory, relative to the run folder; `null` for the model the run started from. */
  directory: string | null;
  /** A test set each, in the recipe's order. */
  sets: SetResult[];
  /** A set with choices each, in the recipe's order. */
  outOfDomain: LikelihoodResult[];
}

/** A model on one test set. */
export interface SetResult {
  set: string;
  questions: number;
  /** In the order of the paper's table 3. */
  settings: SettingSummary[];
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
  /** The last part of the base model's path. */
  model: string;
  /** What the training set is called. */
  trainedOn: string;
  seed: number;
  /** How the modes' thoughts were drawn while training. A temperature that is absent is the paper's. */
  trainedWith: { noise: TrainingNoiseConfig; temperature: TrainConfig['temperature'] };
  training: TrainingResult[];
  /** What the models are tested with; `noise`, of the noisy settings: σ = factor · rms of the embedding. */
  evaluation: { samples: number; k: number[]; noise: NoiseConfig; caps: Caps; seed: number } | null;
  models: ModelResult[];
}

const WINDOW = 20;

/** Collects the results of a finished run. */
export async function collectResults(config: TrainConfig, directory: string): Promise<RunResults> {
  const { questions: _, ...evaluation } = evaluationOf(config);
  const training = await Promise.all(modesOf(config).map((mode) => trainingResult(directory, mode)));
  const models: ModelResult[] = [];
  for (const subject of config.evaluate ? tableSubjects : []) {
    if (subject !== 'base' && !config.modes.includes(subject)) continue;
    const sets = await Promise.all(
      Object.keys(testSetsOf(config)).map((set) => setResult(directory, subject, set, settingsOf(config))),
    );
    const outOfDomain = await Promise.all(
      choiceSetsOf(config).map((set) =>
        finishedResult<LikelihoodResult>(layout.choices(directory, subject, set).summary),
      ),
    );
    models.push({ subject, directory: subject === 'base' ? null : layout.best('', subject), sets, outOfDomain });
  }
  return {
    model: modelName(config.model),
    trainedOn: setNameOf(config.data),
    seed: config.seed,
    trainedWith: { noise: config.noise, temperature: config.temperature },
    training,
    evaluation: config.evaluate ? evaluation : null,
    models,
  };
}

/** The modes a run trains, in the order of the table. */
function modesOf({ modes }: TrainConfig): Mode[] {
  return tableModes.filter((mode) => modes.includes(mode));
}

async function setResult(
  directory: string,
  subject: SubjectName,
  set: string,
  names: readonly SettingName[],
): Promise<SetResult> {
  const files = names.map((setting) => layout.evaluation(directory, subject, set, setting));
  const settings = await Promise.all(files.map(({ summary }) => finishedResult<SettingSummary>(summary)));
  return { set, questions: (await readLines(files[0]!.questions)).length, settings };
}

async function trainingResult(directory: string, mode: Mode): Promise<TrainingResult> {
  const { steps, best } = await finishedResult<TrainedRecord>(layout.marker(directory, { kind: 'train', mode }));
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

/** What a task wrote that is finished. */
async function finishedResult<T>(file: string): Promise<T> {
  const result = await readResult<T>(file);
  if (result === undefined) throw new Error(`${display(file)}: expected the result of a task, got no such file`);
  return result;
}

/** Whether a task's result is there already. */
export function isFinished(marker: string): boolean {
  return existsSync(marker);
}
