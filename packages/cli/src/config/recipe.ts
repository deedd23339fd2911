// The keys of a recipe. Every command reads the sections it needs from the same words; unknown keys are errors.

import { settingNames } from '@soft-tokens/samplers';
import { engineNames } from '@soft-tokens/tensor';
import { z } from 'zod';

const path = z.string().min(1);
const count = z.number().int().positive();
const amount = z.number().int().nonnegative();
const positive = z.number().positive();
const fraction = z.number().min(0).lt(1);
const seed = z.number().int().nonnegative();

/** Ways of thinking a run trains. */
export const modes = ['hard', 'soft', 'fuzzy'] as const;

/** Baselines of rl, by its names for them. */
const advantages = ['leaveOneOut', 'aboutMean', 'standardized'] as const;

/** What noise can be added to in training. */
const placements = ['embedding', 'hidden', 'logits', 'topk'] as const;

/** Problem sets that are read from files in their own formats. */
export const fileSets = ['gsm8k', 'math', 'math500', 'deepscaler', 'olympiadbench', 'aime', 'amc'] as const;

/** Sets of questions with choices that are read from files in their own formats. */
export const choiceFileSets = ['hellaswag', 'arc', 'mmlu'] as const;

/** A set's name: it is part of file names. */
const setName = z.string().regex(/^[\w.-]+$/, { error: 'expected a name of letters, digits, dots, hyphens' });

const fileKeys = {
  /** What tables call it; its kind unless said. */
  name: setName.optional(),
  train: path.optional(),
  test: path.optional(),
  /** Held out of the training file. */
  validation: amount.default(100),
  /** The first so many problems of each file. */
  limit: count.optional(),
  /** Rows of a file that may be malformed and are left out; none unless said. */
  maxMalformed: amount.optional(),
  seed: seed.default(1),
};

const arithmeticLevels = z.array(count).min(1).default([1, 2, 3, 4, 5]);

/** Where questions come from, and how many of each split. */
const data = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('arithmetic'),
    name: setName.optional(),
    levels: arithmeticLevels,
    train: amount.default(2000),
    validation: amount.default(100),
    test: amount.default(100),
    seed: seed.default(1),
  }),
  z.strictObject({
    kind: z.enum(fileSets),
    ...fileKeys,
  }),
  z.strictObject({
    kind: z.literal('questions'),
    ...fileKeys,
    fields: z
      .strictObject({ question: path, answer: path, id: path.optional(), solution: path.optional() })
      .default({ question: 'question', answer: 'answer' }),
  }),
]);

/** Questions with choices, on which a model's likelihood is measured. */
const choices = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.enum(choiceFileSets),
    test: path,
    limit: count.optional(),
    maxMalformed: amount.optional(),
  }),
  z.strictObject({
    kind: z.literal('arithmetic'),
    levels: arithmeticLevels,
    test: count.default(100),
    seed: seed.default(1),
  }),
]);

const prompt = z.enum(['plain', 'paper', 'chat']);
const noise = z.strictObject({
  factor: z.number().nonnegative().default(0.33),
  scale: z.enum(['entry', 'row']).default('entry'),
});
/** Of training, which may add its noise elsewhere than the paper does. */
const trainingNoise = noise
  .extend({
    /** Where the noise enters; the embedding unless said. Elsewhere `scale` is per entry. */
    placement: z.enum(placements).optional(),
    /** How many of the largest logits, for `topk`. */
    k: count.optional(),
  })
  .refine(({ placement, k }) => (placement === 'topk') === (k !== undefined), {
    error: 'expected k, how many logits, with placement topk, and with no other',
    path: ['k'],
  })
  .refine(({ placement = 'embedding', scale }) => placement === 'embedding' || scale === 'entry', {
    error: 'expected entry where the noise is not on the embedding',
    path: ['scale'],
  });
/** What ends a thought, and what is put between it and the answer. */
const format = z.strictObject({
  stopPhrase: z.string().min(1),
  prefill: z.strictObject({ stopped: z.string(), capped: z.string() }),
});
const caps = z.strictObject({ thought: count, answer: count.default(32) });
const engine = z.enum(['auto', ...engineNames]);

const optimizerKeys = {
  warmup: amount.default(20),
  /** Learning rate after the last step. */
  floor: z.number().nonnegative().default(0),
  beta1: fraction.default(0.9),
  beta2: fraction.default(0.999),
  eps: positive.default(1e-8),
  weightDecay: z.number().nonnegative().default(0),
  maxGradientNorm: positive.optional(),
};

const rateOfEachMode = z.union(
  [positive, z.strictObject({ hard: positive, soft: positive, fuzzy: positive }).partial()],
  {
    error: 'expected a number > 0, or {hard, soft, fuzzy}',
  },
);

const evaluation = z.strictObject({
  /** Sets to test on, by name, each its `test` split; the recipe's own data, named by its kind, unless said. */
  sets: z.record(setName, data).optional(),
  /** Sets of questions with choices, by name: accuracy and likelihood, away from what is trained. */
  outOfDomain: z.record(setName, choices).default({}),
  /** The first so many test questions of each set; all of them unless said. */
  questions: count.optional(),
  samples: count.default(32),
  /** The training caps unless said. */
  caps: caps.optional(),
  settings: z
    .array(z.enum(settingNames as [string, ...string[]]))
    .min(1)
    .optional(),
  k: z.array(count).min(1).optional(),
  /** Of the noisy settings; the paper's, whatever the training noise. */
  noise: noise.prefault({}),
  /** Of the samples; the run's unless said. */
  seed: seed.optional(),
});

/** Low-rank adapters to train in place of the model: rank, α, and the names of the linear layers that get one. */
const lora = z.strictObject({
  r: count.default(16),
  alpha: positive.default(32),
  /** All of them unless said: fewer fall behind full training, Dettmers et al. 2023, arXiv:2305.14314, sec. 4. */
  target: z
    .union([z.literal('all-linear'), z.array(path).min(1)], {
      error: 'expected all-linear, or a list of linear layers',
    })
    .default('all-linear'),
});

/** A penalty on leaving the model that training starts from; rl's `KlPenalty` has the formulas. */
const kl = z
  .strictObject({
    coefficient: positive,
    in: z.enum(['reward', 'loss']).default('reward'),
    estimator: z.enum(['k1', 'k2', 'k3']).optional(),
  })
  .refine(({ in: place, estimator = 'k1' }) => place === 'loss' || estimator === 'k1', {
    error: 'expected k1 in the reward, where the gradient of others is not that of a divergence',
    path: ['estimator'],
  })
  .refine(({ in: place, estimator }) => place === 'reward' || estimator !== 'k1', {
    error: 'expected k2 or k3 in the loss, where the gradient of k1 is 0 on average',
    path: ['estimator'],
  });

/** A recipe of `soft-tokens train`. */
export const trainSchema = z.strictObject({
  model: path,
  data,
  prompt: prompt.default('plain'),
  modes: z
    .array(z.enum(modes))
    .min(1)
    .default([...modes]),
  noise: trainingNoise.prefault({}),
  /** τ of a mode's thoughts while training, where it is not the paper's; testing keeps the paper's. */
  temperature: z.strictObject({ hard: positive, soft: positive, fuzzy: positive }).partial().default({}),
  steps: count,
  questionsPerStep: count,
  samples: z.number().int().min(2),
  answerTemperature: positive.default(1),
  /** The paper's unless said. */
  format: format.optional(),
  caps,
  /** What a sample earns whose answer is correct, whose box holds another one, and that has none. */
  reward: z
    .strictObject({ correct: z.number().default(100), boxed: z.number().default(10), none: z.number().default(0) })
    .prefault({}),
  /** How a sample's reward is compared with those of its question. */
  advantage: z.enum(advantages).default('leaveOneOut'),
  kl: kl.optional(),
  /** Stop after so many validations on end without a better one; the schedule stays that of all steps. */
  stopWhen: z.strictObject({ patience: count }).optional(),
  optimizer: z.strictObject({ learningRate: rateOfEachMode, ...optimizerKeys }),
  /** Checkpoint names of parameters that are not trained. */
  frozen: z.array(z.string()).default([]),
  lora: lora.optional(),
  /** Positions a micro-batch holds at most. */
  maxTokens: count.default(8192),
  /** Keep less of each layer and compute it again: less memory, more time. */
  recompute: z.boolean().default(false),
  validateEvery: count.default(50),
  checkpointEvery: count.default(50),
  seed: seed.default(0),
  evaluate: evaluation.optional(),
  workers: z.union([z.literal('auto'), count], { error: 'expected auto or a number of processes' }).default('auto'),
  engine: engine.default('auto'),
});

/** A recipe of `soft-tokens sft`. */
export const sftSchema = z
  .strictObject({
    /** The model to go on from ... */
    model: path.optional(),
    /** ... or what to make a fresh one of: an architecture, a model whose tokenizer it has, the keys of config.json. */
    init: z
      .strictObject({ architecture: z.string(), tokenizer: path, config: z.record(z.string(), z.unknown()) })
      .optional(),
    data,
    prompt: prompt.default('plain'),
    steps: count,
    batchSize: count,
    /** The largest noise on a thought's input embeddings, in units of their root mean square at the time. */
    maxNoise: z.number().nonnegative().default(0),
    optimizer: z.strictObject({ learningRate: positive, ...optimizerKeys }),
    maxTokens: count.default(8192),
    recompute: z.boolean().default(false),
    checkpointEvery: count.default(500),
    seed: seed.default(0),
    out: path,
    dtype: z.enum(['F32', 'BF16', 'F16']).default('F32'),
    engine: engine.default('auto'),
  })
  .refine(({ model, init }) => (model === undefined) !== (init === undefined), {
    error: 'expected either model or init',
    path: ['model'],
  });

/** What `soft-tokens eval` reads of a recipe. */
export const evalSchema = z.strictObject({
  data,
  prompt: prompt.default('plain'),
  caps: caps.default({ thought: 512, answer: 32 }),
  format: format.optional(),
  seed: seed.default(0),
  evaluate: evaluation.prefault({}),
  engine: engine.default('auto'),
});

export type DataConfig = z.output<typeof data>;
export type ChoicesConfig = z.output<typeof choices>;
export type PromptKind = z.output<typeof prompt>;
export type TrainConfig = z.output<typeof trainSchema>;
export type SftConfig = z.output<typeof sftSchema>;
export type EvalConfig = z.output<typeof evalSchema>;
export type EvaluationConfig = z.output<typeof evaluation>;
export type LoraConfig = z.output<typeof lora>;
export type NoiseConfig = z.output<typeof noise>;
export type TrainingNoiseConfig = z.output<typeof trainingNoise>;
export type Caps = z.output<typeof caps>;

/** k = 1, 2, 4, ... up to the number of samples, which is itself among them. */
export function powersUpTo(samples: number): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(samples)) + 1 }, (_, i) => 2 ** i);
  return powers.at(-1) === samples ? powers : [...powers, samples];
}
