// A sweep's runs: every combination of its factors, each with a checked configuration.
import { join } from 'node:path';
import { loadTrainRecipe } from '../config/load.js';
import { display } from '../config/paths.js';
import type { TrainConfig } from '../config/recipe.js';
import { CliError, usageError } from '../errors.js';
import type { Choice, Sweep } from './file.js';
import { nameOf } from './names.js';

/** One run of a sweep. */
export interface PlannedRun {
  name: string;
  /** Its folder. */
  directory: string;
  /** The label of its value of each factor, in their order. */
  labels: Record<string, string>;
  values: Record<string, unknown>;
  config: TrainConfig;
}

/**
 * Every combination of the factors, the last one varying fastest.
 *
 * @example combinations([{ key: 'seed', choices }]); // [{ seed: choices[0] }, { seed: choices[1] }]
 */
function combinations(factors: Sweep['factors']): Record<string, Choice>[] {
  return factors.reduce<Record<string, Choice>[]>(
    (runs, { key, choices }) => runs.flatMap((run) => choices.map((choice) => ({ ...run, [key]: choice }))),
    [{}],
  );
}

/**
 * The runs of a sweep, in order, their folders in `directory`.
 *
 * @throws CliError (exit code 2) that lists what is wrong with any run's configuration, each once; for two runs of the same
 * configuration.
 */
export async function planSweep(sweep: Sweep, directory: string): Promise<PlannedRun[]> {
  const runs: PlannedRun[] = [];
  const problems = new Map<string, string[]>();
  for (const combination of combinations(sweep.factors)) {
    const labels = mapValues(combination, ({ label }) => label);
    const name = nameOf(labels);
    const settings = [...sweep.set, ...Object.values(combination).flatMap((choice) => choice.settings)];
    try {
      const config = await loadTrainRecipe(sweep.recipe, settings);
      const values = mapValues(combination, ({ value }) => value);
      runs.push({ name, directory: runDirectory(directory, name), labels, values, config });
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      for (const line of error.message.split('\n')) problems.set(line, [...(problems.get(line) ?? []), name]);
    }
  }
  if (problems.size > 0) throw usageError([...problems].map(describeProblem).join('\n'));
  checkDistinct(sweep, runs);
  return runs;
}

/** Where a run of a sweep writes. */
const runDirectory = (directory: string, name: string) => join(directory, 'runs', name);

function describeProblem([problem, names]: [string, string[]]): string {
  const others = names.length > 1 ? ` and ${names.length - 1} more` : '';
  return `${problem} (run ${names[0]}${others})`;
}

function checkDistinct(sweep: Sweep, runs: readonly PlannedRun[]): void {
  const seen = new Map<string, string>();
  for (const { name, config } of runs) {
    const key = JSON.stringify(config);
    const twin = seen.get(key);
    if (twin !== undefined) {
      throw usageError(
        `${display(sweep.file)}: expected runs that differ, got the same configuration for ${twin} and ${name}; leave one out`,
      );
    }
    seen.set(key, name);
  }
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
