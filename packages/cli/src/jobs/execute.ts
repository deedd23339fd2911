// Doing a task, in whichever process.
import { match } from 'ts-pattern';
import type { TrainConfig } from '../config/recipe.js';
import { choicesTask } from './choicesTask.js';
import { evaluateTask, type SubjectCache } from './evaluateTask.js';
import type { Task, TaskEvent } from './tasks.js';
import { trainTask } from './trainTask.js';

/** What every task of a run is given. */
export interface TaskContext {
  config: TrainConfig;
  /** The run folder. */
  directory: string;
  /** Where runs of the same base share its evaluations. */
  shared?: string | undefined;
  signal: AbortSignal;
  emit(event: TaskEvent): void;
}

/** A function that does tasks one at a time, on the engine in use. What `cache` holds at the end is its owner's. */
export function createExecutor(context: TaskContext, cache: SubjectCache = {}): (task: Task) => Promise<void> {
  return (task) =>
    match(task)
      .with({ kind: 'train' }, ({ mode }) => trainTask(context, mode))
      .with({ kind: 'evaluate' }, (task) => evaluateTask(context, cache, task))
      .with({ kind: 'choices' }, (task) => choicesTask(context, cache, task))
      .exhaustive();
}
