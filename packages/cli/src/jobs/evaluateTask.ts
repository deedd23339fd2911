// Evaluating one model of a run on one test set in one setting.
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { baseDirectory, loadModelDirectory } from '@soft-tokens/models';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { problemsOf, toQuestion } from '../config/data.js';
import { powersUpTo, type TrainConfig } from '../config/recipe.js';
import { evaluateSetting } from '../evaluation.js';
import { evaluationDigest } from '../evaluationDigest.js';
import { percent } from '../table.js';
import { type Subject, sigmaOf } from '../training.js';
import type { TaskContext } from './execute.js';
import { type ChoicesFiles, type EvaluationFiles, evaluationFiles, layout } from './layout.js';
import { type EvaluateTask, type SubjectName, taskName, testSetsOf } from './tasks.js';

/** The model that was evaluated last: settings of one model tend to come one after the other. */
export interface SubjectCache {
  held?: { name: SubjectName; subject: Subject };
}

/** What a run evaluates with, its defaults filled in. */
export function evaluationOf({ evaluate, caps, seed }: TrainConfig) {
  const samples = evaluate?.samples ?? 32;
  return {
    questions: evaluate?.questions,
    samples,
    caps: evaluate?.caps ?? caps,
    k: evaluate?.k ?? powersUpTo(samples),
    noise: evaluate?.noise ?? { factor: 0.33, scale: 'entry' as const },
    seed: evaluate?.seed ?? seed,
  };
}

/** Evaluates, or goes on with it, and writes the files of the evaluation. */
export async function evaluateTask(context: TaskContext, cache: SubjectCache, task: EvaluateTask): Promise<void> {
  const { config, directory, emit } = context;
  const { subject: name, set, setting } = task;
  const { questions: limit, k, ...rest } = evaluationOf(config);
  const { prompt, format } = config;
  const evaluation = { ...rest, format };
  const data = testSetsOf(config)[set]!;
  const own = layout.evaluation(directory, name, set, setting);
  const digest = () => evaluationDigest({ ...evaluation, model: config.model, prompt, data, split: 'test', limit });
  const shared = name === 'base' && context.shared !== undefined;
  const files = shared ? evaluationFiles(join(context.shared!, await digest()), setting) : own;

  const subject = await subjectOf(context, cache, name);
  const problems = (await problemsOf(data, 'test')).slice(0, limit);
  const title = taskName(task);
  await evaluateSetting({
    ...evaluation,
    k,
    subject,
    sigma: sigmaOf(subject, evaluation.noise),
    setting,
    problems,
    questions: problems.map((problem) => toQuestion(problem, prompt, subject.tokenizer, format)),
    files,
    signal: context.signal,
    onProgress: ({ done, total, correct, resumed }) => {
      const text = `${title} ${done}/${total}, ${percent(correct)} % right`;
      emit({ type: 'progress', task: title, share: done / total, text, ...(resumed && { resumed }) });
    },
  });
  if (shared) await copyFinished(files, own);
}

/** Copies what is finished into a run. The summary comes last, at once or not at all: it tells that the others are there. */
export async function copyFinished(from: FinishedFiles, to: FinishedFiles): Promise<void> {
  await mkdir(dirname(to.summary), { recursive: true });
  for (const key of ['questions', 'thoughts'] as const) {
    const [source, target] = [from[key], to[key]];
    if (source !== undefined && target !== undefined) await copyFile(source, target);
  }
  await writeFileAtomic(to.summary, await readFile(from.summary));
}

/** Of an evaluation, or of a set of choices, which has no thoughts. */
type FinishedFiles = ChoicesFiles & Partial<EvaluationFiles>;

/** A model of the run: the one held, or else read in its place. */
export async function subjectOf(
  { config, directory }: Pick<TaskContext, 'config' | 'directory'>,
  cache: SubjectCache,
  name: SubjectName,
): Promise<Subject> {
  if (cache.held?.name === name) return cache.held.subject;
  cache.held?.subject.model.dispose();
  delete cache.held;
  // An adapter may be all that came of training: then the model that was trained is needed beside it.
  const base = await baseDirectory(config.model);
  const subject = await loadModelDirectory(name === 'base' ? config.model : layout.best(directory, name), { base });
  cache.held = { name, subject };
  return subject;
}
