// Log-probabilities of samples that were recorded elsewhere. The format is in README.md; reference/score.py is an
// independent implementation of it.
import { type CausalLM, embeddingRms } from '@soft-tokens/models';
import { type RecordedSequence, type Scorer, score, withCaches } from '@soft-tokens/rl';
import { fuzzy, hard, type RecordedAction, soft } from '@soft-tokens/samplers';
import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { CliError } from './errors.js';

const ids = z.array(z.number().int().nonnegative());
const temperature = z.number().positive();

const lineSchema = z.strictObject({
  promptIds: ids.min(1),
  thought: z.union(
    [z.strictObject({ ids: ids.min(1) }), z.strictObject({ embeddings: z.array(z.array(z.number())).min(1) })],
    {
      error: 'expected {"ids": [...]} or {"embeddings": [[...], ...]}, with at least one step',
    },
  ),
  prefillIds: ids.default([]),
  answerIds: ids,
  mode: z.strictObject({
    name: z.enum(['hard', 'soft', 'fuzzy']),
    temperature,
    /** σ in units of the root mean square of E's entries ... */
    noiseScale: z.number().nonnegative().optional(),
    /** ... or σ itself, which a trained model's own E no longer tells. */
    sigma: z.number().positive().optional(),
  }),
});

type Line = z.output<typeof lineSchema>;

/** A line out: natural logarithms, one number a position. */
export interface LineScores {
  thoughtLogProb: number[];
  answerLogProb: number[];
}

/**
 * A function that scores lines of JSON, for one model.
 *
 *   hard: log softmax(z / τ)[id]      soft, fuzzy: -‖h̃ - h⁰‖² / (2σ²), constant left out      answers: τ = 1
 *
 * @throws CliError naming the line and the key (from the function).
 * Source: Butt et al. 2025, arXiv:2509.19170, eq. 10.
 */
export function createLineScorer(model: CausalLM): (text: string, line: number) => LineScores {
  const rms = embeddingRms(model);
  return (text, line) => {
    const fail = (key: string, problem: string): never => {
      throw new CliError(`line ${line}: ${key}: ${problem}`);
    };
    const sample = parseLine(text, fail);
    checkIds(sample, model.vocabSize, fail);
    const sampler = scorerOf(sample, rms, fail);
    const sequence: RecordedSequence = {
      promptIds: sample.promptIds,
      action: actionOf(sample, model.hiddenSize, fail),
      prefillIds: sample.prefillIds,
      // Without an answer some id stands in for it; nothing before it depends on it.
      answerIds: sample.answerIds.length > 0 ? sample.answerIds : [0],
    };
    return tf.tidy(
      () =>
        withCaches((own) => {
          const { thought, answer } = score({ model, sampler, sequences: [sequence] }, own);
          return {
            thoughtLogProb: Array.from(thought.dataSync()),
            answerLogProb: Array.from(answer.dataSync()).slice(0, sample.answerIds.length),
          };
        }) as unknown as tf.TensorContainer,
    ) as unknown as LineScores;
  };
}

type Fail = (key: string, problem: string) => never;

function parseLine(text: string, fail: Fail): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return fail('JSON', `expected an object, got text that does not parse: ${(error as Error).message}`);
  }
  const parsed = lineSchema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const got = JSON.stringify(issue.input)?.slice(0, 60);
  return fail(issue.path.join('.') || 'the object', `${issue.message}${got ? `; got ${got}` : ''}`);
}

function checkIds(sample: Line, V: number, fail: Fail): void {
  const lists = {
    promptIds: sample.promptIds,
    'thought.ids': 'ids' in sample.thought ? sample.thought.ids : [],
    prefillIds: sample.prefillIds,
    answerIds: sample.answerIds,
  };
  for (const [key, list] of Object.entries(lists)) {
    const bad = list.find((id) => id >= V);
    if (bad !== undefined) fail(key, `expected ids below the vocabulary size ${V}, got ${bad}`);
  }
}

function scorerOf({ mode, thought }: Line, rms: number, fail: Fail): Scorer {
  const { name, temperature } = mode;
  if (name === 'hard') {
    if (!('ids' in thought)) return fail('thought', 'expected ids in mode hard, got embeddings');
    return hard({ temperature }) as Scorer;
  }
  if (!('embeddings' in thought)) return fail('thought', `expected embeddings in mode ${name}, got ids`);
  if (mode.sigma !== undefined && mode.noiseScale !== undefined) fail('mode', 'expected noiseScale or sigma, got both');
  const noiseScale = mode.sigma ?? (mode.noiseScale ?? 0) * rms;
  if (!(noiseScale > 0))
    fail('mode.noiseScale', `expected a number > 0 to score embeddings, got ${mode.noiseScale ?? 'none'}`);
  return (name === 'soft' ? soft : fuzzy)({ temperature, noiseScale }) as Scorer;
}

function actionOf({ thought }: Line, d: number, fail: Fail): RecordedAction {
  if ('ids' in thought) {
    return { ids: { dtype: 'int32', shape: [thought.ids.length], values: Int32Array.from(thought.ids) } };
  }
  thought.embeddings.forEach((row, t) => {
    if (row.length !== d) fail(`thought.embeddings.${t}`, `expected ${d} numbers, the hidden size, got ${row.length}`);
  });
  const T = thought.embeddings.length;
  return { input: { dtype: 'float32', shape: [T, d], values: Float32Array.from(thought.embeddings.flat()) } };
}
