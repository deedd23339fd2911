// How far the runs of a sweep are, told by their folders.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { completeTrainConfig } from '../config/load.js';
import { usageError } from '../errors.js';
import { layout } from '../jobs/layout.js';
import { tasksOf } from '../jobs/tasks.js';
import type { MetricsRecord } from '../jobs/trainTask.js';
import { readLines } from '../jsonLines.js';
import { isFinished } from '../results.js';
import { differingKeys } from '../runFolder.js';
import type { PlannedRun } from './plan.js';

/** How far a run is. */
export type RunState =
  | { state: 'to do' }
  | { state: 'begun'; tasks: { done: number; all: number }; training: { mode: string; step: number; steps: number }[] }
  | { state: 'done' }
  /** The folder holds a run with other values of these keys. */
  | { state: 'other'; keys: string[] };

/** Reads how far a run is from its folder. */
export async function stateOf({ directory, config }: PlannedRun): Promise<RunState> {
  const keys = await differingKeys({ directory, config, complete: completeTrainConfig });
  if (keys === undefined) return { state: 'to do' };
  if (keys.length > 0) return { state: 'other', keys };
  const tasks = tasksOf(config);
  const open = tasks.filter((task) => !isFinished(layout.marker(directory, task)));
  if (open.length === 0 && existsSync(join(directory, 'results.json'))) return { state: 'done' };
  const training = [];
  for (const task of open) {
    if (task.kind !== 'train') continue;
    const steps = (await readLines<MetricsRecord>(layout.metrics(directory, task.mode))).map(({ step }) => step);
    const step = steps.at(-1);
    if (step !== undefined) training.push({ mode: task.mode, step, steps: config.steps });
  }
  return { state: 'begun', tasks: { done: tasks.length - open.length, all: tasks.length }, training };
}

/** A state in words. */
export function describeState(state: RunState): string {
  if (state.state === 'other') return `other values of ${state.keys.join(', ')}`;
  if (state.state !== 'begun') return state.state;
  const { tasks, training } = state;
  const steps = training.map(({ mode, step, steps: all }) => `, ${mode} at step ${step} of ${all}`);
  return `begun: ${tasks.done} of ${tasks.all} tasks${steps.join('')}`;
}

/** Throws where a run's folder holds a run of another configuration. */
export function refuseOthers(runs: readonly { run: PlannedRun; state: RunState }[]): void {
  const others = runs.flatMap(({ run, state }) =>
    state.state === 'other' ? [`${run.name}: ${state.keys.join(', ')}`] : [],
  );
  if (others.length === 0) return;
  throw usageError(
    `expected the configurations of this sweep in its folder, got runs with other values:\n  ${others.join('\n  ')}\n` +
      'choose another folder with --run-dir, or discard these runs with --overwrite',
  );
}
