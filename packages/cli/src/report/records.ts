// What reports and sweeps read of a run folder, checked where it enters. Keys that they do not use may be there.
import { settingNames } from '@soft-tokens/samplers';
import { z } from 'zod';
import { modes } from '../config/recipe.js';

/** The forms of a report, by the ending of its file. */
export const reportForms = ['html', 'md', 'csv', 'json'] as const;

const number = z.number();
const count = z.number().int().nonnegative();
/** JSON has no NaN: what could not be computed is null. */
const perhaps = z.number().nullable();

const subject = z.enum(['base', ...modes]);
const setting = z.enum(settingNames as [string, ...string[]]);
const noise = z.object({ factor: number, scale: z.enum(['entry', 'row']) });
const caps = z.object({ thought: count, answer: count });
const trainedWith = {
  noise: noise.extend({ placement: z.string().optional(), k: count.optional() }),
  temperature: z.partialRecord(z.enum(modes), number),
};

const settingSummary = z.object({
  setting,
  samples: count,
  passAtK: z.array(z.object({ k: count, value: number, low: perhaps, high: perhaps })),
  majority: z.array(z.object({ k: count, value: number })),
  boxed: number,
  thoughtEnd: z.object({ phrase: number, cap: number }),
  answerEnd: z.object({ closed: number, end: number, cap: number }),
  thoughtTokens: z.object({ mean: number, p10: number, p50: number, p90: number, max: number }),
  entropy: z.object({ mean: z.array(perhaps), count: z.array(count) }),
});

const likelihood = z.object({ set: z.string(), questions: count, accuracy: number, normalized: number, nll: perhaps });

const trainingResult = z.object({
  mode: z.enum(modes),
  steps: count,
  reward: z.object({ first: perhaps, last: perhaps, window: count }),
  validation: z.object({ base: perhaps, best: perhaps, bestStep: count }),
});

/** results.json. */
export const resultsSchema = z.object({
  model: z.string(),
  trainedOn: z.string(),
  seed: count,
  trainedWith: z.object(trainedWith),
  training: z.array(trainingResult),
  evaluation: z.object({ samples: count, k: z.array(count), noise, caps, seed: count }).nullable(),
  models: z.array(
    z.object({
      subject,
      sets: z.array(z.object({ set: z.string(), questions: count, settings: z.array(settingSummary) })),
      outOfDomain: z.array(likelihood).default([]),
    }),
  ),
});

/** What the report needs of config.yaml besides results.json; the rest is kept to tell runs apart. */
export const configSchema = z.looseObject({
  model: z.string(),
  data: z.looseObject({ kind: z.string(), name: z.string().optional() }),
  modes: z.array(z.enum(modes)),
  seed: count,
  questionsPerStep: count,
  samples: count,
  ...trainedWith,
});

/** A line of metrics.jsonl. */
export const metricsSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('step'),
    step: count,
    reward: perhaps,
    gradientNorm: perhaps,
    thoughtTokens: perhaps,
  }),
  z.object({ type: z.literal('validation'), step: count, accuracy: perhaps, questions: count }),
]);

/** `<setting>.thoughts.json`. */
export const thoughtsSchema = z.array(
  z.object({
    questionId: z.string(),
    question: z.string(),
    gold: z.string(),
    thought: z.string(),
    answer: z.string(),
    correct: z.boolean(),
    thoughtEnd: z.enum(['phrase', 'cap']),
    steps: z.array(
      z.object({
        token: z.string(),
        entropy: perhaps,
        top: z.array(z.object({ token: z.string(), p: number })),
      }),
    ),
  }),
);

export type Results = z.output<typeof resultsSchema>;
export type ModelRecord = Results['models'][number];
export type SettingRecord = z.output<typeof settingSummary>;
export type LikelihoodRecord = z.output<typeof likelihood>;
export type TrainingRecord = z.output<typeof trainingResult>;
export type Metrics = z.output<typeof metricsSchema>;
export type Config = z.output<typeof configSchema>;
export type Thought = z.output<typeof thoughtsSchema>[number];
