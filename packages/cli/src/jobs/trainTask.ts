// Training one mode of a run.
import type { Problem } from '@soft-tokens/datasets';
import { baseDirectory, loadModelDirectory, withLora } from '@soft-tokens/models';
import { boxedReward, freeze, type Sample, type StepEvent, train } from '@soft-tokens/rl';
import type { Mode } from '@soft-tokens/samplers';
import { samplerFor } from '@soft-tokens/samplers';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { match } from 'ts-pattern';
import { problemsOf, toQuestion } from '../config/data.js';
import { type LineWriter, openStepLines, readLines } from '../jsonLines.js';
import { percent } from '../table.js';
import { advantagesOf, openCheckpoints, optimizerOf, penaltyOf, trainingNoiseOf } from '../training.js';
import { nextTurn } from '../turn.js';
import type { TaskContext } from './execute.js';
import { layout } from './layout.js';
import { taskName } from './tasks.js';

/** How many of a step's completions are kept to read. */
const KEPT = 2;

/** The content of trained.json. */
export interface TrainedRecord {
  mode: Mode;
  /** Updates made. */
  steps: number;
  /** Whether `stopWhen` ended it before the recipe's last step. */
  stoppedEarly: boolean;
  /** The step the best model is of, and its greedy validation accuracy, 0 to 1. */
  best: { step: number; accuracy: number };
}

/** A line of metrics.jsonl: a training step, or a validation. */
export type MetricsRecord =
  | ({ type: 'step' } & Omit<StepEvent, 'samples'>)
  | { type: 'validation'; step: number; accuracy: number; questions: number };

/** Trains one mode, from its last checkpoint where there is one, and writes trained.json when it is done. */
export async function trainTask({ config, directory, signal, emit }: TaskContext, mode: Mode): Promise<void> {
  const task = taskName({ kind: 'train', mode });
  const subject = await loadModelDirectory(config.model);
  const { tokenizer, embeddingRms } = subject;
  const model = config.lora ? withLora(subject.model, { ...config.lora, seed: config.seed }) : subject.model;
  const { learningRate, ...optimizer } = config.optimizer;
  const rate = typeof learningRate === 'number' ? learningRate : learningRate[mode]!; // the recipe is checked for it
  const questions = (problems: readonly Problem[]) =>
    problems.map((problem) => toQuestion(problem, config.prompt, tokenizer, config.format));
  const problems = await problemsOf(config.data, 'train');
  const byId = new Map(problems.map((problem) => [problem.id, problem]));
  const trainQuestions = questions(problems);
  const prompts = trainQuestions.map(({ promptIds }) => promptIds);
  const { sigma, placement } = trainingNoiseOf(subject, config.noise, prompts);
  const { none: otherwise, ...amounts } = config.reward;
  const { kl, dispose: disposeReference } = await penaltyOf(config, subject.model);
  const events = train({
    model: freeze(model, config.frozen),
    text: tokenizer,
    sampler: samplerFor(`${mode}-sample`, sigma, config.temperature[mode], placement),
    greedySampler: samplerFor(`${mode}-greedy`, sigma),
    trainQuestions,
    validationQuestions: questions(await problemsOf(config.data, 'validation')),
    reward: boxedReward({ ...amounts, otherwise }),
    advantages: advantagesOf[config.advantage],
    kl,
    stopWhen: config.stopWhen,
    ...optimizerOf({ ...optimizer, learningRate: rate }, config.steps),
    steps: config.steps,
    questionsPerStep: config.questionsPerStep,
    samples: config.samples,
    maxThoughtTokens: config.caps.thought,
    maxAnswerTokens: config.caps.answer,
    answerTemperature: config.answerTemperature,
    ...(config.format && { format: config.format }),
    maxGradientNorm: optimizer.maxGradientNorm,
    maxTokens: config.maxTokens,
    recompute: config.recompute,
    validateEvery: config.validateEvery,
    checkpointEvery: config.checkpointEvery,
    checkpoints: await openCheckpoints(layout.checkpoints(directory, mode), model, {
      base: await baseDirectory(config.model),
      embeddingRms,
    }),
    seed: config.seed,
    signal,
  });

  let stoppedAt: number | undefined;
  const logs: { metrics?: LineWriter; completions?: LineWriter } = {};
  const append = (record: MetricsRecord) => logs.metrics?.append(record);
  // The lines up to a checkpoint must not be lost after it.
  const syncBeforeCheckpoint = (step: number, mayStop = false) => {
    if (step % config.checkpointEvery !== 0 && step !== config.steps && !mayStop) return;
    logs.metrics?.sync();
    logs.completions?.sync();
  };
  try {
    for await (const event of events) {
      if (!logs.metrics) {
        const from = event.type === 'resumed' ? event.step : -1;
        logs.metrics = await openStepLines(layout.metrics(directory, mode), from);
        logs.completions = await openStepLines(layout.completions(directory, mode), from);
      }
      match(event)
        .with({ type: 'resumed' }, ({ step }) => {
          emit({ type: 'log', task, text: `${mode}: resumed after step ${step}` });
          emit({ type: 'progress', task, share: step / config.steps, text: mode, resumed: true });
        })
        .with({ type: 'step' }, ({ samples, ...record }) => {
          append(record);
          for (const sample of samples.filter((_, i) => i % config.samples === 0).slice(0, KEPT)) {
            logs.completions?.append(readable(record.step, sample, byId.get(sample.questionId)!));
          }
          const text = `${mode} ${record.step}/${config.steps} reward ${record.reward.toFixed(1)}`;
          emit({ type: 'progress', task, share: record.step / config.steps, text });
          syncBeforeCheckpoint(record.step);
        })
        .with({ type: 'validation' }, (record) => {
          append(record);
          syncBeforeCheckpoint(record.step, config.stopWhen !== undefined);
          emit({ type: 'log', task, text: `${mode}: step ${record.step}, validation ${percent(record.accuracy)} %` });
        })
        .with({ type: 'stopped' }, ({ step, best }) => {
          stoppedAt = step;
          emit({
            type: 'log',
            task,
            text: `${mode}: stopped after step ${step}: none better than at step ${best.step}`,
          });
        })
        .with({ type: 'best' }, { type: 'checkpoint' }, () => {})
        .exhaustive();
      await nextTurn(signal);
    }
  } finally {
    logs.metrics?.close();
    logs.completions?.close();
    disposeReference();
    model.dispose();
    if (model !== subject.model) subject.model.dispose();
  }
  const record: TrainedRecord = {
    mode,
    steps: stoppedAt ?? config.steps,
    stoppedEarly: stoppedAt !== undefined,
    best: await bestOf(directory, mode),
  };
  await writeFileAtomic(layout.marker(directory, { kind: 'train', mode }), `${JSON.stringify(record, null, 2)}\n`);
}

/** A completion as a line to read. */
function readable(step: number, sample: Sample, problem: Problem): { step: number } & Record<string, unknown> {
  return {
    step,
    id: problem.id,
    question: problem.question,
    gold: problem.answer,
    thought: sample.shadowText,
    thoughtEnd: sample.thoughtEnd,
    answer: sample.answerText,
    answerEnd: sample.answerEnd,
    reward: sample.reward,
  };
}

/** The best validation among the log's trained models, the first of equals: as the trainer chooses. */
async function bestOf(directory: string, mode: Mode): Promise<TrainedRecord['best']> {
  const records = await readLines<MetricsRecord>(layout.metrics(directory, mode));
  const validations = records.flatMap((record) => (record.type === 'validation' && record.step > 0 ? [record] : []));
  const first = validations[0];
  if (!first)
    throw new Error(`${layout.metrics(directory, mode)}: expected a validation, got none; run with --overwrite`);
  const best = validations.reduce((a, b) => (b.accuracy > a.accuracy ? b : a), first);
  return { step: best.step, accuracy: best.accuracy };
}
