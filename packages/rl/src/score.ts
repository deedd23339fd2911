// The scoring pass: log-probabilities of everything that was drawn, in one parallel forward over recorded inputs.
// Letters: N sequences, T thought positions, P prefill ids, A answer ids, L continuation positions, d hidden size.

import {
  type Action,
  type Completion,
  type ForwardOptions,
  type KeyValueCache,
  type LanguageModel,
  padPrompts,
  type RecordedAction,
  type Sampler,
} from '@soft-tokens/samplers';
import { embedding } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

/** A sequence to score; a `Completion` is one. Prefill ids are read but not scored. */
export type RecordedSequence = Pick<Completion, 'promptIds' | 'action' | 'prefillIds' | 'answerIds'>;

/** The half of a sampler that scoring needs. */
export type Scorer = Pick<Sampler<Action>, 'inputs' | 'logProb' | 'distribution'>;

/** Log-probabilities in nats, zero where a sequence is shorter than the longest. */
export interface Scores {
  /** Of each thought step, `[N, T]`. */
  thought: tf.Tensor2D;
  /** Of each answer id, `[N, A]`. */
  answer: tf.Tensor2D;
  /** The means of Gaussian thought steps, `[N, T, n]`, for samplers that have them; computed when it is called. */
  mean?: (() => tf.Tensor) | undefined;
}

export interface ScoreOptions {
  model: LanguageModel;
  sampler: Scorer;
  sequences: readonly RecordedSequence[];
  /** τ > 0 at which the answer was drawn. Default 1. */
  answerTemperature?: number;
  /** Less memory for more time: the backward pass computes each layer again. It changes no result. Default: no. */
  recompute?: boolean | undefined;
}

/** The number of thought steps of a sequence. */
export function thoughtLength({ action }: Pick<RecordedSequence, 'action'>): number {
  return Object.values(action)[0]?.shape[0] ?? 0;
}

/**
 * Scores recorded sequences, differentiably:
 *
 *   log π(thought_t | prompt, thought_<t)  and  log π(answer_a | prompt, thought, prefill, answer_<a)
 *
 * Each distinct prompt is computed once, however many sequences follow it. The recorded actions are constants.
 *
 * Caches are handed to `own`, for the caller to dispose once gradients are taken.
 *
 * @throws RangeError without sequences, and for one without a thought step or an answer id.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 8 to 10.
 * @example const { thought, answer } = withCaches((own) => score({ model, sampler, sequences }, own));
 */
export function score(
  { model, sampler, sequences, answerTemperature = 1, recompute }: ScoreOptions,
  own: (cache: KeyValueCache) => void,
): Scores {
  const lengths = sequences.map((sequence) => ({
    T: thoughtLength(sequence),
    P: sequence.prefillIds.length,
    A: sequence.answerIds.length,
  }));
  if (lengths.length === 0) throw new RangeError('score: expected at least one sequence, got none');
  lengths.forEach(({ T, A }, n) => {
    if (T > 0 && A > 0) return;
    throw new RangeError(
      `score: expected a thought step and an answer id at least, got ${T} and ${A} in sequence ${n}; leave it out`,
    );
  });
  const T = Math.max(...lengths.map((n) => n.T));
  const A = Math.max(...lengths.map((n) => n.A));
  // The last answer id is predicted but never read.
  const L = Math.max(T, ...lengths.map((n) => n.T + n.P + n.A - 1));

  const action = stackActions(
    sequences.map((sequence) => sequence.action),
    T,
  );
  const inputs = continuationInputs(model, sampler, sequences, action, T, L);
  const states = predictingStates(model, sequences, inputs, own, { recompute });

  const thoughtStates = tf.slice(states, [0, 0, 0], [-1, T, -1]) as tf.Tensor3D;
  const isThought = lengthMask(lengths, T, 'T');
  const thought = tf.mul(sampler.logProb(thoughtStates, model, action), isThought);
  const { distribution } = sampler;

  // Answer positions are picked out first, so that the head works on nothing else.
  const positions = new Int32Array(sequences.length * A);
  const ids = new Int32Array(sequences.length * A);
  sequences.forEach(({ answerIds }, n) => {
    const { T, P } = lengths[n]!;
    for (let a = 0; a < A; a++) positions[n * A + a] = n * (L + 1) + T + P + Math.min(a, answerIds.length - 1);
    ids.set(answerIds, n * A);
  });
  const flat = tf.reshape(states, [-1, model.hiddenSize]) as tf.Tensor2D;
  const answerStates = embedding(flat, tf.tensor2d(positions, [sequences.length, A], 'int32'));
  const answerIds = tf.tensor2d(ids, [sequences.length, A], 'int32');
  const answer = tf.mul(model.head.logProb(answerStates, answerIds, answerTemperature), lengthMask(lengths, A, 'A'));
  return {
    thought: thought as tf.Tensor2D,
    answer: answer as tf.Tensor2D,
    ...(distribution?.kind === 'gaussian' && {
      mean: () => tf.mul(distribution.mean(thoughtStates, model), tf.expandDims(isThought, -1)),
    }),
  };
}

/** Σ of all scored log-probabilities of each sequence: `[N]`. */
export function sequenceLogProb({ thought, answer }: Scores): tf.Tensor1D {
  return tf.add(tf.sum(thought, 1), tf.sum(answer, 1));
}

/** Runs `f`, which hands over the caches it makes, and disposes them when it is done. */
export function withCaches<R>(f: (own: (cache: KeyValueCache) => void) => R): R {
  const caches: KeyValueCache[] = [];
  try {
    return f((cache) => caches.push(cache));
  } finally {
    for (const cache of caches) cache.dispose();
  }
}

/** Recorded actions of T_n steps each as tensors `[N, T, ...]`, zero beyond a sequence's end. */
export function stackActions(actions: readonly RecordedAction[], T: number): Action {
  const stacked: Action = {};
  for (const [name, { dtype, shape }] of Object.entries(actions[0] ?? {})) {
    const rest = shape.slice(1);
    const size = rest.reduce((product, n) => product * n, 1);
    const ArrayType = dtype === 'int32' ? Int32Array : Float32Array;
    const values = new ArrayType(actions.length * T * size);
    actions.forEach((action, n) => {
      values.set(action[name]!.values, n * T * size);
    });
    stacked[name] = tf.tensor(values, [actions.length, T, ...rest], dtype);
  }
  return stacked;
}

/** Thought inputs, then embedded prefill and answer ids, right-padded to L: `[N, L, d]`. */
function continuationInputs(
  model: LanguageModel,
  sampler: Scorer,
  sequences: readonly RecordedSequence[],
  action: Action,
  T: number,
  L: number,
): tf.Tensor3D {
  const N = sequences.length;
  const ids = new Int32Array(N * L);
  const isThought = new Float32Array(N * L);
  sequences.forEach((sequence, n) => {
    const length = thoughtLength(sequence);
    isThought.fill(1, n * L, n * L + length);
    ids.set([...sequence.prefillIds, ...sequence.answerIds.slice(0, -1)], n * L + length);
  });
  const thoughts = tf.pad(sampler.inputs(action, model), [
    [0, 0],
    [0, L - T],
    [0, 0],
  ]);
  const words = model.embed(tf.tensor2d(ids, [N, L], 'int32'));
  const mask = tf.tensor3d(isThought, [N, L, 1]);
  return tf.add(tf.mul(thoughts, mask), tf.mul(words, tf.sub(1, mask))) as tf.Tensor3D;
}

/** The states that predict each continuation position, the prompt's last one first: `[N, L + 1, d]`. */
function predictingStates(
  model: LanguageModel,
  sequences: readonly RecordedSequence[],
  inputs: tf.Tensor3D,
  own: (cache: KeyValueCache) => void,
  options: ForwardOptions,
): tf.Tensor3D {
  const { prompts, rows } = distinctPrompts(sequences);
  const { ids, padding, length } = padPrompts(prompts);
  const promptCache = model.createCache(padding);
  own(promptCache);
  const promptInputs = model.embed(tf.tensor2d(ids, [prompts.length, length], 'int32')) as tf.Tensor3D;
  const promptStates = model.forward(promptInputs, promptCache, options);
  const last = tf.reshape(tf.slice(promptStates, [0, length - 1, 0], [-1, 1, -1]), [prompts.length, model.hiddenSize]);

  const states = withCaches((own) => {
    const cache = promptCache.select(rows);
    own(cache); // nothing reads it once the states are there
    return model.forward(inputs, cache, options);
  });
  const first = embedding(last as tf.Tensor2D, tf.tensor2d(rows, [rows.length, 1], 'int32'));
  return tf.concat([first, states], 1) as tf.Tensor3D;
}

/** The distinct prompts, and for each sequence the index of its own. */
function distinctPrompts(sequences: readonly RecordedSequence[]): {
  prompts: Array<readonly number[]>;
  rows: Int32Array;
} {
  const index = new Map<string, number>();
  const prompts: Array<readonly number[]> = [];
  const rows = Int32Array.from(sequences, ({ promptIds }) => {
    const key = promptIds.join();
    const known = index.get(key);
    if (known !== undefined) return known;
    index.set(key, prompts.length);
    return prompts.push(promptIds) - 1;
  });
  return { prompts, rows };
}

/** 1 for the positions a sequence has, 0 after: `[N, width]`. */
function lengthMask<K extends string>(lengths: Array<Record<K, number>>, width: number, key: K): tf.Tensor2D {
  const mask = new Float32Array(lengths.length * width);
  lengths.forEach((n, i) => {
    mask.fill(1, i * width, i * width + n[key]);
  });
  return tf.tensor2d(mask, [lengths.length, width]);
}
