// Where the tasks of a run write in its folder.

import { join } from 'node:path';
import type { Mode, SettingName } from '@soft-tokens/samplers';
import type { SubjectName, Task } from './tasks.js';

/** The paths of a run folder. */
export const layout = {
  metrics: (directory: string, mode: Mode) => join(directory, mode, 'metrics.jsonl'),
  completions: (directory: string, mode: Mode) => join(directory, mode, 'completions.jsonl'),
  checkpoints: (directory: string, mode: Mode) => join(directory, mode, 'checkpoints'),
  /** The model with the best validation, a Hugging Face directory. */
  best: (directory: string, mode: Mode) => join(directory, mode, 'checkpoints', 'best'),
  evaluation: (directory: string, subject: SubjectName, setting: SettingName) =>
    join(directory, subject, 'eval', `${setting}.json`),
  /** What a task writes last: it is finished when this file is there. */
  marker: (directory: string, task: Task) =>
    task.kind === 'train'
      ? join(directory, task.mode, 'trained.json')
      : layout.evaluation(directory, task.subject, task.setting),
};
