// A run as a small graph: train each mode; evaluate the base model, and each trained model once it is there.
import type { Mode, SettingName } from '@soft-tokens/samplers';
import { settingNames } from '@soft-tokens/samplers';
import { match } from 'ts-pattern';
import type { DataConfig, EvaluationConfig, TrainConfig } from '../config/recipe.js';

/** How thoughts are drawn, in the order of the paper's tables. */
export const tableModes: readonly Mode[] = ['hard', 'fuzzy', 'soft'];

/** What is evaluated: the model a run starts from, or the one trained in a mode. */
export type SubjectName = 'base' | Mode;

/** Models in the order of the paper's tables. */
export const tableSubjects: readonly SubjectName[] = ['base', ...tableModes];

/** One piece of a run. Every task is resumable by itself. */
export type Task = TrainTask | EvaluateTask | ChoicesTask;

export interface TrainTask {
  kind: 'train';
  mode: Mode;
}

/** A model on a test set, thinking in one of the six settings. */
export interface EvaluateTask {
  kind: 'evaluate';
  subject: SubjectName;
  /** The test set's name. */
  set: string;
  setting: SettingName;
}

/** A model on questions with choices. */
export interface ChoicesTask {
  kind: 'choices';
  subject: SubjectName;
  /** The set's name. */
  set: string;
}

/** What tasks tell while they work. */
export type TaskEvent =
  | { type: 'progress'; task: string; share: number; text: string /** Done in an earlier run. */; resumed?: boolean }
  | { type: 'log'; task: string; text: string };

/** The name of a task, unique in its run. */
export function taskName(task: Task): string {
  return match(task)
    .with({ kind: 'train' }, ({ mode }) => `train ${mode}`)
    .with({ kind: 'evaluate' }, ({ subject, set, setting }) => `test ${subject} ${set} ${setting}`)
    .with({ kind: 'choices' }, ({ subject, set }) => `choices ${subject} ${set}`)
    .exhaustive();
}

/** Every task of a run. */
export function tasksOf(config: TrainConfig): Task[] {
  const training = config.modes.map((mode): Task => ({ kind: 'train', mode }));
  if (!config.evaluate) return training;
  const settings = settingsOf(config);
  const subjects: SubjectName[] = ['base', ...config.modes];
  const evaluations = subjects.flatMap((subject) =>
    Object.keys(testSetsOf(config)).flatMap((set) =>
      settings.map((setting): Task => ({ kind: 'evaluate', subject, set, setting })),
    ),
  );
  const choices = subjects.flatMap((subject) =>
    choiceSetsOf(config).map((set): Task => ({ kind: 'choices', subject, set })),
  );
  return [...training, ...evaluations, ...choices];
}

/** Names of the tasks that must be finished before a task starts. */
export function needsOf(task: Task): string[] {
  if (task.kind === 'train' || task.subject === 'base') return [];
  return [taskName({ kind: 'train', mode: task.subject })];
}

/** What tables call a data section: its own name, or its kind. */
export const setNameOf = ({ name, kind }: Pick<DataConfig, 'name' | 'kind'>): string => name ?? kind;

/** The sets a run tests on, by name: the recipe's own, named by its kind, unless it says others. */
export function testSetsOf({
  data,
  evaluate,
}: Pick<TrainConfig, 'data'> & { evaluate?: Pick<EvaluationConfig, 'sets'> | undefined }): Record<string, DataConfig> {
  return evaluate?.sets ?? { [setNameOf(data)]: data };
}

/** Names of the sets with choices that a run's models are scored on, in the recipe's order. */
export function choiceSetsOf({ evaluate }: Pick<TrainConfig, 'evaluate'>): string[] {
  return Object.keys(evaluate?.outOfDomain ?? {});
}

/** The settings a run evaluates, in the order of the table. */
export function settingsOf({ evaluate }: TrainConfig): SettingName[] {
  return settingNames.filter((name) => evaluate?.settings === undefined || evaluate.settings.includes(name));
}
