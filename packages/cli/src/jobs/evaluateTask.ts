// Evaluating one model of a run in one setting.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { baseDirectory, loadModelDirectory } from '@soft-tokens/models';
import type { SettingName } from '@soft-tokens/samplers';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { problemsOf, toQuestion } from '../config/data.js';
import { powersUpTo, type TrainConfig } from '../config/recipe.js';
import { evaluateSetting } from '../evaluation.js';
import { type Subject, sigmaOf } from '../training.js';
import type { TaskContext } from './execute.js';
import { layout } from './layout.js';
import { type SubjectName, taskName } from './tasks.js';

/** The model that was evaluated last: settings of one model tend to come one after the other. */
export interface SubjectCache {
  held?: { name: SubjectName; subject: Subject };
}

/** What a run evaluates with, its defaults filled in. */
export function evaluationOf({ evaluate, caps }: TrainConfig) {
  const samples = evaluate?.samples ?? 32;
  return {
    questions: evaluate?.questions,
    samples,
    caps: evaluate?.caps ?? caps,
    k: evaluate?.k ?? powersUpTo(samples),
    noise: evaluate?.noise ?? { factor: 0.33, scale: 'entry' as const },
  };
}

/** Evaluates and writes `eval/<setting>.json`. */
export async function evaluateTask(
  { config, directory, signal, emit }: TaskContext,
  cache: SubjectCache,
  name: SubjectName,
  setting: SettingName,
): Promise<void> {
  const task = taskName({ kind: 'evaluate', subject: name, setting });
  const { samples, caps, k, noise, questions: limit } = evaluationOf(config);
  const subject = await load(cache, name, {
    directory: name === 'base' ? config.model : layout.best(directory, name),
    base: await baseDirectory(config.model),
  });
  const questions = (await problemsOf(config.data, 'test'))
    .slice(0, limit)
    .map((problem) => toQuestion(problem, config.prompt, subject.tokenizer));
  const result = await evaluateSetting({
    subject,
    sigma: sigmaOf(subject, noise),
    setting,
    questions,
    samples,
    k,
    caps,
    seed: config.seed,
    signal,
    onProgress: (done, total) => {
      emit({ type: 'progress', task, share: done / total, text: `test ${name} ${setting} ${done}/${total}` });
    },
  });
  const file = layout.evaluation(directory, name, setting);
  await mkdir(dirname(file), { recursive: true });
  await writeFileAtomic(file, `${JSON.stringify(result)}\n`);
}

/** `base`: where the model is that was trained, should an adapter be all that came of it. */
async function load(
  cache: SubjectCache,
  name: SubjectName,
  { directory, base }: { directory: string; base: string },
): Promise<Subject> {
  if (cache.held?.name === name) return cache.held.subject;
  cache.held?.subject.model.dispose();
  delete cache.held;
  const subject = await loadModelDirectory(directory, { base });
  cache.held = { name, subject };
  return subject;
}
