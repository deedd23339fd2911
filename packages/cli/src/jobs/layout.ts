// Where the tasks of a run write in its folder.

import { join } from 'node:path';
import type { Mode, SettingName } from '@soft-tokens/samplers';
import { match } from 'ts-pattern';
import type { SubjectName, Task } from './tasks.js';

/** The files of one evaluation. */
export interface EvaluationFiles {
  /** What came of it, written last. */
  summary: string;
  /** A line a question, written as questions are done. */
  questions: string;
  /** A few thoughts, step by step. */
  thoughts: string;
}

/** The files of a setting's evaluation in a directory. */
export function evaluationFiles(directory: string, setting: SettingName): EvaluationFiles {
  const file = (end: string) => join(directory, `${setting}${end}`);
  return { summary: file('.json'), questions: file('.jsonl'), thoughts: file('.thoughts.json') };
}

/** The files of one set of questions with choices. */
export type ChoicesFiles = Pick<EvaluationFiles, 'summary' | 'questions'>;

/** The files of a set of choices in a directory. */
export function choicesFiles(directory: string, name: string): ChoicesFiles {
  return { summary: join(directory, `${name}.json`), questions: join(directory, `${name}.jsonl`) };
}

/** The paths of a run folder. */
export const layout = {
  metrics: (directory: string, mode: Mode) => join(directory, mode, 'metrics.jsonl'),
  completions: (directory: string, mode: Mode) => join(directory, mode, 'completions.jsonl'),
  checkpoints: (directory: string, mode: Mode) => join(directory, mode, 'checkpoints'),
  /** The model with the best validation, a Hugging Face directory. */
  best: (directory: string, mode: Mode) => join(directory, mode, 'checkpoints', 'best'),
  evaluation: (directory: string, subject: SubjectName, set: string, setting: SettingName) =>
    evaluationFiles(join(directory, subject, 'eval', set), setting),
  choices: (directory: string, subject: SubjectName, set: string) =>
    choicesFiles(join(directory, subject, 'choices'), set),
  /** What a task writes last: it is finished when this file is there. */
  marker: (directory: string, task: Task): string =>
    match(task)
      .with({ kind: 'train' }, ({ mode }) => join(directory, mode, 'trained.json'))
      .with({ kind: 'evaluate' }, ({ subject, set, setting }) => {
        return layout.evaluation(directory, subject, set, setting).summary;
      })
      .with({ kind: 'choices' }, ({ subject, set }) => layout.choices(directory, subject, set).summary)
      .exhaustive(),
};
