// Scoring one model of a run on one set of questions with choices.
import { choicesOf } from '../config/choices.js';
import { evaluationDigest } from '../evaluationDigest.js';
import { evaluateChoices } from '../likelihood.js';
import { copyFinished, type SubjectCache, subjectOf } from './evaluateTask.js';
import type { TaskContext } from './execute.js';
import { choicesFiles, layout } from './layout.js';
import { type ChoicesTask, taskName } from './tasks.js';

/** Scores the set, and writes what came of it. */
export async function choicesTask(context: TaskContext, cache: SubjectCache, task: ChoicesTask): Promise<void> {
  const { config, directory, shared, signal, emit } = context;
  const { model, prompt, evaluate } = config;
  const { subject: name, set } = task;
  const data = evaluate!.outOfDomain[set]!;
  const own = layout.choices(directory, name, set);
  const isShared = name === 'base' && shared !== undefined;
  const files = isShared ? choicesFiles(shared, await evaluationDigest({ model, data, prompt, set })) : own;
  const title = taskName(task);
  await evaluateChoices({
    subject: await subjectOf(context, cache, name),
    set,
    kind: data.kind,
    choices: await choicesOf(data),
    prompt,
    files,
    signal,
    onProgress: ({ done, total, resumed }) => {
      const text = `${title} ${done}/${total}`;
      emit({ type: 'progress', task: title, share: done / total, text, ...(resumed && { resumed }) });
    },
  });
  if (isShared) await copyFinished(files, own);
}
