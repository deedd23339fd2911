// What PyTorch computed from tiny models: reference/model_fixtures.py writes it and documents the layout.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type CausalLM, loadModel } from '@soft-tokens/models';
import { fuzzy, hard, type Mode, type RecordedAction, soft } from '@soft-tokens/samplers';
import { readSafetensors } from '@soft-tokens/tensor';
import { expectClose } from '@soft-tokens/testing';
import type * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import type { RecordedSequence, Scorer } from '../score.js';

const root = fileURLToPath(new URL('../../../models/src/__fixtures__', import.meta.url));

/** Every architecture, tied and untied, with and without grouped heads. */
export const cases = readdirSync(root);

export const modes = ['hard', 'soft', 'fuzzy'] as const satisfies Mode[];

interface Recorded {
  prompt: number;
  thought: { ids: number[] } | { embeddings: number[][] };
  answerIds: number[];
  thoughtLogProb: number[];
  answerLogProb: number[];
}

export interface Expected {
  supervised: { sequences: { ids: number[]; positions: number[] }[]; loss: number };
  prefillIds: number[];
  prompts: { promptIds: number[]; rewards: number[]; advantages: number[] }[];
  modes: Record<Mode, { temperature: number; sigma: number; loss: number; samples: Recorded[] }>;
}

export const loadCase = (name: string): Promise<CausalLM> => loadModel(`${root}/${name}`);

export const expected = (name: string): Expected =>
  JSON.parse(readFileSync(`${root}/${name}/expected.json`, 'utf8')) as Expected;

/** A mode's recorded sequences with the sampler that drew them, and the advantages of all. */
export function recorded(document: Expected, mode: Mode) {
  const { temperature, sigma: noiseScale, samples } = document.modes[mode];
  const sampler: Scorer = {
    hard: () => hard({ temperature }),
    soft: () => soft({ temperature, noiseScale }),
    fuzzy: () => fuzzy({ temperature, noiseScale }),
  }[mode]() as Scorer;
  const sequences: RecordedSequence[] = samples.map(({ prompt, thought, answerIds }) => ({
    promptIds: document.prompts[prompt]!.promptIds,
    action: 'ids' in thought ? { ids: idsAction(thought.ids) } : { input: embeddingsAction(thought.embeddings) },
    prefillIds: document.prefillIds,
    answerIds,
  }));
  return { sampler, sequences, advantages: document.prompts.flatMap(({ advantages }) => advantages) };
}

export const idsAction = (ids: readonly number[]): RecordedAction[string] => ({
  dtype: 'int32',
  shape: [ids.length],
  values: Int32Array.from(ids),
});

const embeddingsAction = (rows: number[][]): RecordedAction[string] => ({
  dtype: 'float32',
  shape: [rows.length, rows[0]!.length],
  values: Float32Array.from(rows.flat()),
});

/** Fails unless every parameter's gradient is PyTorch's within 1e-4 of the tensor's largest entry. */
export async function expectGradients(
  name: string,
  loss: Mode | 'supervised',
  gradients: ReadonlyMap<string, tf.Tensor>,
): Promise<void> {
  const want = await readSafetensors(`${root}/${name}/gradients-${loss}.safetensors`);
  expect([...gradients.keys()].sort()).toEqual(Object.keys(want).sort());
  for (const [parameter, gradient] of gradients) {
    const { values } = want[parameter]!;
    expectClose(gradient.dataSync(), values, { rel: 0, abs: 1e-4 * Math.max(...Array.from(values, Math.abs), 1e-6) });
  }
}
