// Supervised warm-up on worked solutions, with noise on the thought's input embeddings if wanted.

import { type Action, hard, pacer, type RecordedAction, type TextCodec } from '@soft-tokens/samplers';
import { normalArray, uniformArray } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { batch } from './batches.js';
import type { CheckpointStore, TrainingState } from './checkpoint.js';
import { accumulateGradients, disposeGradients } from './gradients.js';
import { crossEntropy } from './losses.js';
import { disposeState, type Optimizer } from './optimizers.js';
import type { Schedule } from './schedules.js';
import type { RecordedSequence, Scorer } from './score.js';
import type { TrainableModel } from './train.js';
import { updateParameters } from './update.js';

/** A worked solution in ids, cut as decoding cuts it: the thought up to the stop phrase, then the boxed answer. */
export interface Demonstration {
  promptIds: readonly number[];
  thoughtIds: readonly number[];
  /** Prefill, answer and end: all of it is learned. */
  answerIds: readonly number[];
}

/**
 * A demonstration in ids.
 *
 * - `thought` ends with the stop phrase; `answer` is what follows the prefill, closing brace included
 *
 * @example demonstration(codec, { promptIds, thought: ' 2+2=4. The final answer is:', prefill: '\\boxed{', answer: '4}' });
 */
export function demonstration(
  text: TextCodec,
  parts: { promptIds: readonly number[]; thought: string; prefill: string; answer: string },
): Demonstration {
  const end = text.endIds.slice(0, 1);
  return {
    promptIds: parts.promptIds,
    thoughtIds: text.encode(parts.thought),
    answerIds: [...text.encode(parts.prefill), ...text.encode(parts.answer), ...end],
  };
}

export interface SftOptions {
  model: TrainableModel;
  demonstrations: readonly Demonstration[];
  optimizer: Optimizer;
  schedule: Schedule;
  steps: number;
  /** Demonstrations a step. */
  batchSize: number;
  /**
   * Noise on the thought's input embeddings: each demonstration draws a scale from U(0, `maxNoiseScale()`), the standard
   * deviation of Gaussian noise in each coordinate. It makes a small model robust to soft tokens' noise. Asked at each
   * step, since the embeddings that the noise is measured against grow. Omitted: no noise.
   */
  maxNoiseScale?: (() => number) | undefined;
  maxGradientNorm?: number | undefined;
  maxTokens: number;
  /** See `ScoreOptions`. */
  recompute?: boolean | undefined;
  checkpointEvery: number;
  checkpoints: CheckpointStore;
  seed: number;
  signal?: AbortSignal | undefined;
}

export type SftEvent =
  | { type: 'resumed'; step: number }
  | {
      type: 'step';
      step: number;
      /** Nats a token, under the noise. */
      loss: number;
      gradientNorm: number;
      learningRate: number;
      tokens: number;
      seconds: number;
    }
  | { type: 'checkpoint'; step: number; directory: string };

/**
 * Trains a model on worked solutions by cross-entropy, and tells what happens as it happens. Resumes as `train` does.
 *
 * @throws RangeError when a gradient is not finite; the signal's reason when it aborts.
 * @example for await (const event of sft(options)) if (event.type === 'step') console.log(event.step, event.loss);
 */
export async function* sft(options: SftOptions): AsyncGenerator<SftEvent, void, void> {
  const { model, optimizer, checkpoints, steps } = options;
  const restored = await checkpoints.restore(model.parameters);
  const state: TrainingState = restored ?? {
    step: 0,
    optimizer: optimizer.init(model.parameters),
    best: null,
    validationsSinceBest: 0,
  };
  try {
    if (restored) yield { type: 'resumed', step: state.step };
    const pause = pacer(options.signal); // one for the run: a step may be shorter than the pacer's interval
    while (state.step < steps) {
      const step = state.step + 1;
      yield await sftStep(options, state, step, pause);
      state.step = step;
      if (step % options.checkpointEvery === 0 || step === steps) {
        yield { type: 'checkpoint', step, directory: await checkpoints.save(state) };
      }
    }
  } finally {
    disposeState(state.optimizer);
  }
}

async function sftStep(
  options: SftOptions,
  state: TrainingState,
  step: number,
  pause: () => Promise<void>,
): Promise<SftEvent> {
  const { model, seed } = options;
  const started = performance.now();
  const chosen = batch(options.demonstrations, { seed, step, size: options.batchSize });
  const maxNoiseScale = options.maxNoiseScale?.() ?? 0;
  const sequences = chosen.map((demonstration, row) =>
    noisySequence(demonstration, { maxNoiseScale, width: model.hiddenSize, seed, step, row }),
  );
  const tokens = chosen.reduce((sum, { thoughtIds, answerIds }) => sum + thoughtIds.length + answerIds.length, 0);
  const { loss, gradients } = await accumulateGradients({
    model,
    sampler: noisyTeacher,
    parameters: model.parameters,
    sequences,
    maxTokens: options.maxTokens,
    recompute: options.recompute,
    loss: (logProb) => crossEntropy(logProb, tokens),
    pause,
  });
  const learningRate = options.schedule(step);
  try {
    const gradientNorm = updateParameters({
      ...options,
      parameters: model.parameters,
      gradients,
      state: state.optimizer,
      learningRate,
    });
    const seconds = (performance.now() - started) / 1000;
    return { type: 'step', step, loss, gradientNorm, learningRate, tokens, seconds };
  } finally {
    disposeGradients(gradients);
  }
}

/** Ordinary tokens, scored as such, whose embeddings reach the stack with recorded noise on them. */
const noisyTeacher: Scorer = (() => {
  const teacher = hard({ temperature: 1 });
  return {
    inputs: ({ ids, noise }: Action, model) => {
      const embedded = teacher.inputs({ ids: ids! }, model);
      return (noise ? tf.add(embedded, noise) : embedded) as tf.Tensor3D;
    },
    logProb: (hidden, model, { ids }: Action) => teacher.logProb(hidden, model, { ids: ids! }),
  };
})();

const NOISE_STREAM = 2;
const SCALE_STREAM = 3;

/** A demonstration as a sequence to score, its noise addressed by (seed, step, row). */
function noisySequence(
  { promptIds, thoughtIds, answerIds }: Demonstration,
  {
    maxNoiseScale,
    width,
    seed,
    step,
    row,
  }: { maxNoiseScale: number; width: number; seed: number; step: number; row: number },
): RecordedSequence {
  const T = thoughtIds.length;
  const action: RecordedAction = { ids: { dtype: 'int32', shape: [T], values: Int32Array.from(thoughtIds) } };
  if (maxNoiseScale > 0) {
    const address = { seed, step, sample: row, position: 0 };
    const scale = maxNoiseScale * uniformArray({ ...address, stream: SCALE_STREAM }, 1)[0]!;
    const values = normalArray({ ...address, stream: NOISE_STREAM }, T * width).map((x) => x * scale);
    action.noise = { dtype: 'float32', shape: [T, width], values };
  }
  return { promptIds, action, prefillIds: [], answerIds: [...answerIds] };
}
