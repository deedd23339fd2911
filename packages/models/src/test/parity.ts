// One body for every architecture: what PyTorch computed from a tiny model (reference/model_fixtures.py), computed here.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { embedding, readSafetensors, useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import type { CausalLM } from '../causalLM.js';
import { loadModel } from '../huggingFace.js';

/** The directory of a case written by reference/model_fixtures.py. */
export const fixture = (name: string) => fileURLToPath(new URL(`../__fixtures__/${name}`, import.meta.url));

interface Expected {
  sequence: { ids: number[]; hidden: number[][]; logits: number[][] };
  supervised: { sequences: { ids: number[]; positions: number[] }[]; loss: number };
}

/** Ids `[T]` as a batch of one, embedded: `[1, T, d]`. */
export const embedded = (model: CausalLM, ids: number[]) =>
  model.embed(tf.tensor2d([ids], [1, ids.length], 'int32')) as tf.Tensor3D;

/** Tolerance relative to the largest entry: sums of many terms lose absolute, not relative, accuracy. */
const within = (want: ArrayLike<number>, rel: number) => ({
  rel: 0,
  abs: rel * Math.max(...Array.from(want, Math.abs), 1e-6),
});

/** -mean of log softmax(logits[t])[ids[t + 1]] over the scored positions of all sequences. */
function supervisedLoss(model: CausalLM, sequences: Expected['supervised']['sequences']): tf.Scalar {
  const scored = sequences.map(({ ids, positions }) => {
    const states = tf.squeeze(model.forward(embedded(model, ids)), [0]) as tf.Tensor2D;
    const hidden = embedding(states, tf.tensor1d(positions, 'int32')); // `gather` has no gradient on every engine
    const next = tf.tensor1d(
      positions.map((t) => ids[t + 1]!),
      'int32',
    );
    return model.head.logProb(hidden, next, 1);
  });
  return tf.neg(tf.mean(tf.concat(scored))) as tf.Scalar;
}

/** Tests that the models of fixtures give PyTorch's hidden states, logits and parameter gradients, on each engine. */
export function testParity(...names: string[]): void {
  eachEngine(useEngine, () => {
    test.each(names)("%s: hidden states and logits are PyTorch's", async (name) => {
      const { sequence } = await expected(name);
      const model = await loadModel(fixture(name));
      tf.tidy(() => {
        const hidden = model.forward(embedded(model, sequence.ids));
        const [wantHidden, wantLogits] = [sequence.hidden.flat(), sequence.logits.flat()];
        expectClose(hidden.dataSync(), wantHidden, within(wantHidden, 1e-5));
        expectClose(model.head.logits(hidden).dataSync(), wantLogits, within(wantLogits, 1e-5));
      });
      model.dispose();
    });

    test.each(names)(
      '%s: read in blocks on a cache, one position at a time at the end, the states are the same',
      async (name) => {
        const { sequence } = await expected(name);
        const model = await loadModel(fixture(name));
        tf.tidy(() => {
          const inputs = embedded(model, sequence.ids);
          const cache = model.createCache(Int32Array.of(0));
          const rest = new Array<number>(sequence.ids.length - 8).fill(1);
          const states = [3, 5, ...rest].map((size) =>
            model.forward(tf.slice(inputs, [0, cache.length], [-1, size]), cache),
          );
          const want = sequence.hidden.flat();
          expectClose(tf.concat(states, 1).dataSync(), want, within(want, 1e-5));
          cache.dispose();
        });
        model.dispose();
      },
    );

    test.each(names)("%s: the gradient of every parameter is PyTorch's", async (name) => {
      const { supervised } = await expected(name);
      const want = await readSafetensors(`${fixture(name)}/gradients-supervised.safetensors`);
      const model = await loadModel(fixture(name));
      const { value, grads } = tf.variableGrads(() => supervisedLoss(model, supervised.sequences));
      expectClose(value.dataSync(), [supervised.loss], { rel: 1e-5 });
      expect([...model.parameters.keys()].sort()).toEqual(Object.keys(want).sort());
      for (const [parameter, variable] of model.parameters) {
        const { values } = want[parameter]!;
        expectClose(grads[variable.name]!.dataSync(), values, within(values, 1e-4));
      }
      tf.dispose([value, grads]);
      model.dispose();
    });
  });
}

async function expected(name: string): Promise<Expected> {
  return JSON.parse(await readFile(`${fixture(name)}/expected.json`, 'utf8')) as Expected;
}
