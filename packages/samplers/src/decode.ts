// The decode loop: a thought in whatever tokens the sampler makes, then an answer in ordinary ones.
//
// Every sequence is in one phase: thought (the sampler's tokens, until the shadow text ends with the stop phrase or the
// cap is reached), prefill (fixed ids that open the answer), answer (ordinary tokens, until the brace closes). All rows
// advance by one position a step, so one cache serves them all; rows that are done leave the batch.

import { createNoise, embedding } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { Action, KeyValueCache, LanguageModel, Sampler, TextCodec } from './contract.js';
import { hard } from './hard.js';
import { pacer } from './pace.js';
import { braceDepth, endsWith } from './phrase.js';

/** How a thought ends and an answer begins. */
export interface ThoughtFormat {
  /** A thought ends when its shadow text ends with this. */
  stopPhrase: string;
  /** What is fed before the answer: after a thought that stopped by itself, and after one that reached the cap. */
  prefill: { stopped: string; capped: string };
}

/** The paper's format. Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, app. C. */
export const paperFormat: ThoughtFormat = {
  stopPhrase: 'The final answer is:',
  prefill: { stopped: '\\boxed{', capped: 'The final answer is: \\boxed{' },
};

/** A recorded action of one sequence: named arrays with leading axis T. */
export type RecordedAction = Record<
  string,
  { dtype: 'int32' | 'float32'; shape: number[]; values: Int32Array | Float32Array }
>;

/** One finished sequence. */
export interface Completion {
  /** The prompt's index and ids. */
  prompt: number;
  promptIds: readonly number[];
  /** The address of its noise, unique in a call. */
  sample: number;
  /** The thought: what was done, and its readable shadow. T = `shadowIds.length`. */
  action: RecordedAction;
  shadowIds: number[];
  shadowText: string;
  thoughtEnd: 'phrase' | 'cap';
  /** Ids fed between thought and answer; not drawn, so never scored. */
  prefillIds: number[];
  answerIds: number[];
  answerEnd: 'closed' | 'end' | 'cap';
  /** The box opened by the prefill, if it opens one, and the answer: `\boxed{42}`. */
  answerText: string;
}

/** What `observe` is told at each drawn token, inside `tf.tidy`. */
export interface Observation {
  phase: 'thought' | 'answer';
  /** Indices into the completions, one a row. */
  rows: number[];
  /** Shadow ids of a thought, ids of an answer. */
  ids: Int32Array;
  /** The states the tokens were drawn from, `[rows, d]`. */
  hidden: tf.Tensor2D;
}

export interface DecodeOptions<A extends Action> {
  model: LanguageModel;
  sampler: Sampler<A>;
  text: TextCodec;
  prompts: readonly (readonly number[])[];
  /** Completions of each prompt. Default 1. */
  samples?: number;
  format?: ThoughtFormat;
  /** Caps in tokens. The paper: 128 or 512 (training), 512 (evaluation); 32 for the answer. */
  maxThoughtTokens: number;
  maxAnswerTokens: number;
  /** τ of the answer: 0 to evaluate (greedy), 1 to train. */
  answerTemperature: number;
  /** Noise is addressed by (seed, step, firstSample + row, position). */
  seed: number;
  step?: number;
  firstSample?: number;
  /** Called at each drawn token, for streaming and measuring. */
  observe?: (observation: Observation) => void;
  signal?: AbortSignal | undefined;
}

const THOUGHT_STREAM = 0;
const ANSWER_STREAM = 1;

/** A sequence under way. */
interface Row {
  completion: Completion;
  recorded: Array<Record<string, { dtype: string; shape: number[]; values: Float32Array | Int32Array }>>;
  phase: 'thought' | 'prefill' | 'answer' | 'done';
  /** Prefill ids still to be fed. */
  queue: number[];
  /** Braces open in the answer. */
  depth: number;
}

/**
 * Completes prompts: each with `samples` thoughts and answers, in the order of the prompts.
 *
 * The prompt is read once, whatever the number of samples. The same seed gives the same completions; a row's noise does
 * not depend on the rows beside it.
 *
 * @throws RangeError for an empty prompt, an id outside the vocabulary or a cap below 1; the signal's reason when it
 * aborts.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, app. C.
 * @example
 * const [completion] = await decode({
 *   model, text, sampler: hard({ temperature: 0 }), prompts: [text.encode('User: 2+2? Assistant:')],
 *   maxThoughtTokens: 64, maxAnswerTokens: 8, answerTemperature: 0, seed: 0,
 * });
 */
export async function decode<A extends Action>(options: DecodeOptions<A>): Promise<Completion[]> {
  const { model, sampler, text, prompts, samples = 1, format = paperFormat, seed, step = 0, firstSample = 0 } = options;
  checkPrompts(prompts, model.vocabSize);
  checkCount('maxThoughtTokens', options.maxThoughtTokens, 1);
  checkCount('maxAnswerTokens', options.maxAnswerTokens, 1);
  checkCount('samples', samples, 0);
  if (prompts.length === 0 || samples === 0) return [];

  const answerSampler = hard({ temperature: options.answerTemperature });
  const thoughtEnds = endsWith(text, format.stopPhrase);
  const prefills = {
    phrase: { ids: text.encode(format.prefill.stopped), text: format.prefill.stopped },
    cap: { ids: text.encode(format.prefill.capped), text: format.prefill.capped },
  };
  const all = prompts.flatMap((promptIds, prompt) =>
    Array.from({ length: samples }, (_, i) => newRow(prompt, promptIds, firstSample + prompt * samples + i)),
  );

  let rows = all;
  let { hidden, cache } = readPrompts(model, prompts, samples);
  const pause = pacer(options.signal);
  try {
    for (let position = 0; rows.some((row) => row.phase !== 'done'); position++) {
      await pause();
      const kept = rowsToKeep(rows);
      if (kept) {
        rows = Array.from(kept, (i) => rows[i]!);
        ({ hidden, cache } = selectRows(hidden, cache, kept));
      }
      const next = tf.tidy(() => {
        const input = nextInput(rows, hidden, position);
        return rows.every((row) => row.phase === 'done') ? undefined : lastState(model.forward(input, cache));
      });
      hidden.dispose();
      if (next) hidden = next;
    }
  } finally {
    hidden.dispose();
    cache.dispose();
  }
  return all.map((row) => ({
    ...row.completion,
    action: joinActions(row.recorded),
    shadowText: text.decode(row.completion.shadowIds),
  }));

  /** Draws, or takes from the prefill, every row's next token, and moves the rows' phases on: `[B, 1, d]`. */
  function nextInput(rows: Row[], hidden: tf.Tensor2D, position: number): tf.Tensor3D {
    const at = (phase: Row['phase']) => rows.flatMap((row, i) => (row.phase === phase ? [i] : []));
    const [thinking, answering, prefilling] = [at('thought'), at('answer'), at('prefill')];
    const noise = (indices: number[], stream: number) =>
      createNoise({
        seed,
        step,
        samples: Int32Array.from(indices, (i) => rows[i]!.completion.sample),
        position,
        stream,
      });
    const ids = new Int32Array(rows.length); // rows that are done but still in the batch are fed id 0
    let thoughts: tf.Tensor2D | undefined;

    if (thinking.length > 0) {
      const states = takeRows(hidden, thinking);
      const { input, action, shadow } = sampler.step(states, model, noise(thinking, THOUGHT_STREAM));
      const parts = splitAction(action, thinking.length);
      thoughts = input;
      options.observe?.({ phase: 'thought', rows: indicesOf(rows, thinking), ids: shadow, hidden: states });
      thinking.forEach((i, j) => {
        thinkOn(rows[i]!, parts[j]!, shadow[j]!);
      });
    }
    if (answering.length > 0) {
      const states = takeRows(hidden, answering);
      const { shadow } = answerSampler.step(states, model, noise(answering, ANSWER_STREAM));
      options.observe?.({ phase: 'answer', rows: indicesOf(rows, answering), ids: shadow, hidden: states });
      answering.forEach((i, j) => {
        ids[i] = shadow[j]!;
        answerOn(rows[i]!, shadow[j]!);
      });
    }
    for (const i of prefilling) {
      const row = rows[i]!;
      ids[i] = row.queue.shift()!;
      if (row.queue.length === 0) row.phase = 'answer';
    }
    return tf.expandDims(mergeInputs(model, ids, thoughts, thinking), 1) as tf.Tensor3D;
  }

  function thinkOn(row: Row, part: Row['recorded'][number], shadowId: number): void {
    const { completion } = row;
    row.recorded.push(part);
    completion.shadowIds.push(shadowId);
    const stopped = thoughtEnds(completion.shadowIds);
    if (!stopped && completion.shadowIds.length < options.maxThoughtTokens) return;
    completion.thoughtEnd = stopped ? 'phrase' : 'cap';
    const prefill = prefills[completion.thoughtEnd];
    completion.prefillIds = prefill.ids;
    const box = prefill.text.lastIndexOf('\\boxed');
    completion.answerText = box < 0 ? '' : prefill.text.slice(box);
    row.queue = [...prefill.ids];
    row.depth = braceDepth(prefill.text);
    row.phase = row.queue.length > 0 ? 'prefill' : 'answer';
  }

  function answerOn(row: Row, id: number): void {
    const { completion } = row;
    completion.answerIds.push(id);
    const ended = text.endIds.includes(id);
    const answer = text.decode(ended ? completion.answerIds.slice(0, -1) : completion.answerIds);
    const closed = row.depth > 0 && braceDepth(answer, row.depth) === 0;
    if (!ended && !closed && completion.answerIds.length < options.maxAnswerTokens) return;
    completion.answerEnd = ended ? 'end' : closed ? 'closed' : 'cap';
    completion.answerText += answer;
    row.phase = 'done';
  }

  function indicesOf(rows: Row[], indices: number[]): number[] {
    return indices.map((i) => rows[i]!.completion.sample - firstSample);
  }
}

function newRow(prompt: number, promptIds: readonly number[], sample: number): Row {
  const completion: Completion = {
    prompt,
    promptIds,
    sample,
    action: {},
    shadowIds: [],
    shadowText: '',
    thoughtEnd: 'cap',
    prefillIds: [],
    answerIds: [],
    answerEnd: 'cap',
    answerText: '',
  };
  return { completion, recorded: [], phase: 'thought', queue: [], depth: 0 };
}

function checkPrompts(prompts: readonly (readonly number[])[], vocabSize: number): void {
  prompts.forEach((ids, i) => {
    if (ids.length === 0) throw new RangeError(`decode: expected prompt ${i} to hold at least one id, got none`);
    const bad = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (bad !== undefined) {
      throw new RangeError(`decode: expected the ids of prompt ${i} in 0..${vocabSize - 1}, got ${bad}`);
    }
  });
}

function checkCount(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new RangeError(`decode: expected ${name} to be an integer >= ${least}, got ${value}`);
}

/** Left-pads prompts of different lengths to one block: ids `[B, P]`, row-major, and the padding of each row. */
export function padPrompts(prompts: readonly (readonly number[])[]): {
  ids: Int32Array;
  padding: Int32Array;
  length: number;
} {
  const length = Math.max(...prompts.map((ids) => ids.length));
  const padding = Int32Array.from(prompts, (ids) => length - ids.length);
  const ids = new Int32Array(prompts.length * length);
  prompts.forEach((prompt, b) => {
    ids.set(prompt, b * length + padding[b]!);
  });
  return { ids, padding, length };
}

/** Reads each prompt once and gives every sample its own row of the cache and of the last state. */
function readPrompts(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
  samples: number,
): { hidden: tf.Tensor2D; cache: KeyValueCache } {
  const { ids, padding, length } = padPrompts(prompts);
  const cache = model.createCache(padding);
  let hidden: tf.Tensor2D;
  try {
    hidden = tf.tidy(() => {
      const inputs = model.embed(tf.tensor2d(ids, [prompts.length, length], 'int32')) as tf.Tensor3D;
      return lastState(model.forward(inputs, cache));
    });
  } catch (error) {
    cache.dispose();
    throw error;
  }
  const rows = Int32Array.from({ length: prompts.length * samples }, (_, i) => Math.floor(i / samples));
  return samples === 1 ? { hidden, cache } : selectRows(hidden, cache, rows);
}

/** The last position of `[B, T, d]`: `[B, d]`. */
function lastState(states: tf.Tensor3D): tf.Tensor2D {
  const [B, T, d] = states.shape;
  return tf.reshape(tf.slice(states, [0, T - 1, 0], [B, 1, d]), [B, d]);
}

function selectRows(
  hidden: tf.Tensor2D,
  cache: KeyValueCache,
  rows: Int32Array,
): { hidden: tf.Tensor2D; cache: KeyValueCache } {
  const selected = {
    hidden: tf.tidy(() => embedding(hidden, tf.tensor1d(rows, 'int32')) as tf.Tensor2D),
    cache: cache.select(rows),
  };
  hidden.dispose();
  cache.dispose();
  return selected;
}

/** The rows to go on with once an eighth of the batch is done; before that, copying the cache costs more than it saves. */
function rowsToKeep(rows: Row[]): Int32Array | undefined {
  const active = rows.flatMap((row, i) => (row.phase === 'done' ? [] : [i]));
  return active.length <= rows.length * (7 / 8) ? Int32Array.from(active) : undefined;
}

function takeRows(x: tf.Tensor2D, rows: number[]): tf.Tensor2D {
  return rows.length === x.shape[0] ? x : (embedding(x, tf.tensor1d(rows, 'int32')) as tf.Tensor2D);
}

/** Thought inputs at the rows that think, embedded ids at all others: `[B, d]`. */
function mergeInputs(
  model: LanguageModel,
  ids: Int32Array,
  thoughts: tf.Tensor2D | undefined,
  thinking: number[],
): tf.Tensor2D {
  if (thoughts && thinking.length === ids.length) return thoughts;
  const embedded = model.embed(tf.tensor1d(ids, 'int32')) as tf.Tensor2D;
  if (!thoughts) return embedded;
  const source = Int32Array.from(ids, (_, i) => i);
  thinking.forEach((i, j) => {
    source[i] = ids.length + j;
  });
  return embedding(tf.concat([embedded, thoughts], 0), tf.tensor1d(source, 'int32')) as tf.Tensor2D;
}

/** An action `[B, ...]` as B records on the host. */
function splitAction(action: Action, B: number): Row['recorded'] {
  const parts: Row['recorded'] = Array.from({ length: B }, () => ({}));
  for (const [name, tensor] of Object.entries(action)) {
    if (tensor.shape[0] !== B || (tensor.dtype !== 'int32' && tensor.dtype !== 'float32')) {
      throw new TypeError(
        `decode: expected action "${name}" to be int32 or float32 with ${B} rows, got ${tensor.dtype} [${tensor.shape}]`,
      );
    }
    const values = tensor.dataSync() as Float32Array | Int32Array;
    const size = tensor.size / B;
    const shape = tensor.shape.slice(1);
    parts.forEach((part, b) => {
      part[name] = { dtype: tensor.dtype, shape, values: values.slice(b * size, (b + 1) * size) };
    });
  }
  return parts;
}

/** T records of one row as arrays with leading axis T. */
function joinActions(recorded: Row['recorded']): RecordedAction {
  const joined: RecordedAction = {};
  for (const [name, { dtype, shape, values }] of Object.entries(recorded[0] ?? {})) {
    const ArrayType = dtype === 'int32' ? Int32Array : Float32Array;
    const all = new ArrayType(recorded.length * values.length);
    recorded.forEach((part, t) => {
      all.set(part[name]!.values, t * values.length);
    });
    joined[name] = { dtype: dtype as 'int32' | 'float32', shape: [recorded.length, ...shape], values: all };
  }
  return joined;
}
