// The numbers of a finished run that a sweep averages, read from its results.json.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { display } from '../config/paths.js';
import { CliError } from '../errors.js';
import { type Results, resultsSchema } from '../report/records.js';

/** One number of a run, and what it is of. Shares are 0 to 1. */
export interface Observation {
  /** The model: `base`, or the mode it was trained in. */
  subject: string;
  /** What it was tested on; `null` of its training. */
  set: string | null;
  /** How it thought; `null` where it did not, of training and of likelihoods. */
  setting: string | null;
  /** `pass@1`, `pass@32`, `majority@32`, `accuracy`, `normalized`, `nll`, `reward first`, `validation best`, ... */
  metric: string;
  value: number;
}

/** What a run's results.json says, as far as a sweep goes. */
export interface RunNumbers {
  observations: Observation[];
  /** How many questions each set has. */
  questions: Record<string, number>;
}

/**
 * Reads the numbers of a finished run.
 *
 * @throws CliError where its results.json is none of this version.
 */
export async function readNumbers(directory: string): Promise<RunNumbers> {
  const file = join(directory, 'results.json');
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw unreadable(file, (error as Error).message);
  }
  const parsed = resultsSchema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw unreadable(file, `${path.join('.')}: ${message}`);
  }
  return numbersOf(parsed.data);
}

function unreadable(file: string, got: string): CliError {
  return new CliError(
    `${display(file)}: expected the results of a run, got ${got}; remove it, and the run is summed up again`,
  );
}

function numbersOf({ training, models }: Results): RunNumbers {
  const observations: Observation[] = [];
  const questions: Record<string, number> = {};
  const add = (subject: string, set: string | null, name: string | null, metric: string, value: number | null) => {
    if (value !== null) observations.push({ subject, set, setting: name, metric, value });
  };
  for (const { mode, reward, validation } of training) {
    add(mode, null, null, 'reward first', reward.first);
    add(mode, null, null, 'reward last', reward.last);
    add(mode, null, null, 'validation base', validation.base);
    add(mode, null, null, 'validation best', validation.best);
  }
  for (const { subject, sets, outOfDomain } of models) {
    for (const { set, questions: count, settings } of sets) {
      questions[set] = count;
      for (const { setting: name, passAtK, majority } of settings) {
        const most = Math.max(...passAtK.map(({ k }) => k));
        for (const { k, value } of passAtK) if (k === 1 || k === most) add(subject, set, name, `pass@${k}`, value);
        const widest = Math.max(...majority.map(({ k }) => k));
        // The majority of one is that one.
        for (const { k, value } of majority) if (k > 1 && k === widest) add(subject, set, name, `majority@${k}`, value);
      }
    }
    for (const { set, questions: count, accuracy, normalized, nll } of outOfDomain) {
      questions[set] = count;
      add(subject, set, null, 'accuracy', accuracy);
      add(subject, set, null, 'normalized', normalized);
      add(subject, set, null, 'nll', nll);
    }
  }
  return { observations, questions };
}
