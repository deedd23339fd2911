// Training steps made to be timed: random prompts, and thoughts and answers of full length whatever is drawn.
import { type CausalLM, noiseScale } from '@soft-tokens/models';
import {
  adamW,
  disposeGradients,
  disposeState,
  type Optimizer,
  type OptimizerState,
  policyGradient,
  updateParameters,
} from '@soft-tokens/rl';
import {
  type Action,
  type Completion,
  decode,
  pacer,
  type Sampler,
  samplerFor,
  type TextCodec,
  type ThoughtFormat,
} from '@soft-tokens/samplers';
import { uniformArray } from '@soft-tokens/tensor';
import type { StepShape } from './flops.js';
import { computed } from './measure.js';
import { nextTurn } from './turn.js';

/** The stream of random numbers that prompts come from; thoughts and answers draw theirs elsewhere. */
const PROMPT_STREAM = 13;

/** Reads every id as nothing, so that no phrase is met, no brace closes and no id ends an answer. */
const silent: TextCodec = { encode: () => [], decode: () => '', endIds: [] };
/** Nothing between thought and answer; the phrase is one that `silent` never reads. */
const endless: ThoughtFormat = { stopPhrase: '.', prefill: { stopped: '', capped: '' } };

/** Far too little to learn from, so that no parameter strays however many steps are timed. */
const LEARNING_RATE = 1e-6;

export interface BenchOptions {
  model: CausalLM;
  shape: StepShape;
  /** Steps to time; one more is made before them. */
  steps: number;
  /** Positions a micro-batch holds at most. */
  maxTokens: number;
  /** Whether the update computes each layer again instead of keeping what is in it. */
  recompute?: boolean;
  seed: number;
  signal: AbortSignal;
  /** Called after each step, the first one included. */
  onStep?: (done: number, total: number) => void;
}

/** Seconds of one step. */
export interface StepTimes {
  rollout: number;
  update: number;
}

/**
 * Times training steps: a rollout, then an update by the policy gradient of all sequences, clipped, by AdamW. The first
 * step warms up and is not returned.
 */
export async function timeSteps(options: BenchOptions): Promise<StepTimes[]> {
  const { model, steps, signal } = options;
  const sampler = samplerFor(`${options.shape.mode}-sample`, noiseScale(model));
  const optimizer = adamW();
  const state = optimizer.init(model.parameters);
  const times: StepTimes[] = [];
  try {
    for (let step = 0; step <= steps; step++) {
      await nextTurn(signal);
      const started = performance.now();
      const sequences = await drawSequences(options, sampler, step);
      const drawn = performance.now();
      await update(options, sampler, sequences, { optimizer, state });
      const ended = performance.now();
      if (step > 0) times.push({ rollout: (drawn - started) / 1000, update: (ended - drawn) / 1000 });
      options.onStep?.(step + 1, steps + 1);
    }
  } finally {
    disposeState(state);
  }
  return times;
}

/** The sequences of a step, all of full length. */
export function drawSequences(
  { model, shape, seed, signal }: Omit<BenchOptions, 'steps' | 'maxTokens' | 'recompute' | 'onStep'>,
  sampler: Sampler<Action>,
  step: number,
): Promise<Completion[]> {
  return decode({
    model,
    sampler,
    text: silent,
    format: endless,
    prompts: randomPrompts(shape, { vocabSize: model.vocabSize, seed, step }),
    samples: shape.samples,
    maxThoughtTokens: shape.thoughtTokens,
    maxAnswerTokens: shape.answerTokens,
    answerTemperature: 1,
    seed,
    step,
    signal,
  });
}

async function update(
  { model, maxTokens, recompute, signal }: BenchOptions,
  sampler: Sampler<Action>,
  sequences: Completion[],
  { optimizer, state }: { optimizer: Optimizer; state: OptimizerState },
): Promise<void> {
  const { parameters } = model;
  const { gradients } = await policyGradient({
    model,
    sampler,
    parameters,
    sequences,
    advantages: sequences.map((_, n) => (n % 2 === 0 ? 1 : -1)), // none is 0, so none is left out
    maxTokens,
    recompute,
    pause: pacer(signal),
  });
  try {
    updateParameters({ optimizer, parameters, gradients, state, learningRate: LEARNING_RATE, maxGradientNorm: 1 });
  } finally {
    disposeGradients(gradients);
  }
  await computed([...parameters.values()].at(-1)!); // a GPU may still be at work on the parameters
}

/** Prompts of random ids, others at each step. */
export function randomPrompts(
  { prompts, promptTokens }: Pick<StepShape, 'prompts' | 'promptTokens'>,
  { vocabSize, seed, step }: { vocabSize: number; seed: number; step: number },
): number[][] {
  return Array.from({ length: prompts }, (_, sample) =>
    Array.from(uniformArray({ seed, step, sample, position: 0, stream: PROMPT_STREAM }, promptTokens), (u) =>
      Math.floor(u * vocabSize),
    ),
  );
}

/**
 * The middle of some numbers; of an even count, the mean of the two in the middle.
 *
 * @example median([3, 1, 2]); // 2
 */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}
