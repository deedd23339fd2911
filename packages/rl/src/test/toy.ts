// A trainable language model small enough to know everything about, and digits to think and answer in.
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Architecture, type CausalLM, createCausalLM, initialWeights, llama } from '@soft-tokens/models';
import type { TextCodec, ThoughtFormat } from '@soft-tokens/samplers';
import { afterAll } from 'vitest';
import type { Question } from '../rollout.js';

/** A one-layer Llama, or what else is asked for, with random weights, untied: its logits differ from one another. */
export function toyModel({
  vocabSize,
  hiddenSize = 8,
  seed = 1,
  spread = 0.5,
  architecture = llama,
  keys = {},
}: {
  vocabSize: number;
  hiddenSize?: number;
  seed?: number;
  /** Standard deviation of the weights. */
  spread?: number;
  architecture?: Architecture;
  /** Further keys of config.json. */
  keys?: object;
}): CausalLM {
  const config = {
    model_type: architecture.modelType,
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: hiddenSize,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    rms_norm_eps: 1e-5,
    initializer_range: spread,
    tie_word_embeddings: false,
    ...keys,
  };
  return createCausalLM(architecture, config, initialWeights(architecture, config, seed));
}

/** Ids 0 to 9 are the digits; 10 is `#`, which ends a thought; 11 is `=`, which opens an answer; 12 ends an answer. */
export const digits: TextCodec & { vocabSize: number } = {
  vocabSize: 13,
  encode: (text) => Array.from(text, (character) => '0123456789#='.indexOf(character)),
  decode: (ids) => ids.map((id) => '0123456789#='[id] ?? '').join(''),
  endIds: [12],
};

export const digitFormat: ThoughtFormat = { stopPhrase: '#', prefill: { stopped: '=', capped: '#=' } };

/** Prompts of one or two digits; the answer is a digit. */
export const digitQuestions = (...answers: string[]): Question[] =>
  answers.map((answer, i) => ({ id: `q${i}`, promptIds: i % 2 ? [i, 3] : [i], answer }));

/** A parameter's values by name, read back. */
export const valuesOf = (model: Pick<CausalLM, 'parameters'>): Record<string, Float32Array> =>
  Object.fromEntries(
    Array.from(model.parameters, ([name, variable]) => [name, variable.dataSync<'float32'>().slice()]),
  );

/** Fresh directories, gone when the file's tests are done. */
export function temporaryDirectories(): () => string {
  const made: string[] = [];
  afterAll(() => Promise.all(made.map((directory) => rm(directory, { recursive: true, force: true }))));
  return () => {
    made.push(mkdtempSync(join(tmpdir(), 'rl-')));
    return made.at(-1)!;
  };
}
