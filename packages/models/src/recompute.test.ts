// The option `recompute` of `forward`: the same numbers from less memory.
import type { KeyValueCache } from '@soft-tokens/samplers';
import { engineMemory, leanTape, normalArray, useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import type { Architecture } from './architecture.js';
import { type CausalLM, createCausalLM, initialWeights } from './causalLM.js';
import { gemma3 } from './gemma3.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';

/** Every architecture, with windows shorter than what is read where it has windows. */
const architectures: Record<string, [Architecture, object?]> = {
  llama: [llama],
  qwen2: [qwen2],
  qwen3: [qwen3, { head_dim: 4, attention_bias: true }],
  mistral: [mistral, { sliding_window: 3 }],
  gemma3: [gemma3, { head_dim: 4, query_pre_attn_scalar: 3, sliding_window: 3, sliding_window_pattern: 2 }],
};

const small = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  initializer_range: 0.5, // large enough that every part matters
};

/** A model with random weights, biases included. */
function modelOf(name: string, sizes: Record<string, number>): CausalLM {
  const [architecture, own] = architectures[name]!;
  const config = { model_type: architecture.modelType, ...sizes, ...own };
  const weights = initialWeights(architecture, config, 7);
  Object.keys(weights).forEach((key, sample) => {
    if (!key.endsWith('bias')) return;
    const { values } = weights[key]!;
    values.set(normalArray({ seed: 1, step: 0, sample, position: 0, stream: 0 }, values.length));
  });
  return createCausalLM(architecture, config, weights);
}

const draw = (shape: [number, number, number], sample: number) =>
  tf.tensor3d(
    normalArray(
      { seed: 2, step: 0, sample, position: 0, stream: 0 },
      shape.reduce((a, b) => a * b),
    ),
    shape,
  );

/** Loss and gradients of the parameters and of the inputs, by name. */
function gradients(
  model: CausalLM,
  inputs: tf.Tensor3D[],
  states: (inputs: tf.Tensor3D[]) => tf.Tensor3D[],
): Record<string, tf.Tensor> {
  const variables = [...model.parameters].filter(([name]) => name !== 'model.embed_tokens.weight');
  const xs = [...inputs, ...variables.map(([, variable]) => variable)];
  const { value, grads } = tf.engine().gradients(
    () =>
      leanTape(() =>
        tf.tidy(() => {
          const all = tf.concat(
            states(inputs).map((x) => tf.reshape(x, [-1])),
            0,
          );
          return tf.sum(tf.mul(all, tf.sin(tf.mul(all, 3)))) as tf.Scalar; // no two positions weigh the same
        }),
      ),
    xs,
  );
  const names = [...inputs.map((_, i) => `inputs ${i}`), ...variables.map(([name]) => name)];
  return { loss: value, ...Object.fromEntries(names.map((name, i) => [name, grads[i]!])) };
}

/** Checks two results against each other: to the bit on `native`, whose kernels are deterministic. Frees both. */
function expectSame(engine: string, got: Record<string, tf.Tensor>, want: Record<string, tf.Tensor>): void {
  expect(Object.keys(got)).toEqual(Object.keys(want));
  for (const [name, x] of Object.entries(got)) {
    const [values, wanted] = [x.dataSync(), want[name]!.dataSync()];
    expect(wanted.some((x) => x !== 0) && wanted.every(Number.isFinite), name).toBe(true);
    if (engine === 'native') expect(values, name).toEqual(wanted);
    else expectClose(values, wanted, { rel: 0, abs: 1e-5 * Math.max(...Array.from(wanted, Math.abs)) });
  }
  tf.dispose([got, want]);
}

// The first test of the file, since a peak is for ever.
eachEngine(useEngine, () => {
  test('a gradient keeps the layers’ inputs, and one layer', () => {
    const [B, T, d, layers] = [4, 64, 64, 8];
    const sizes = { hidden_size: d, intermediate_size: 3 * d, num_hidden_layers: layers, initializer_range: 0.1 };
    const model = modelOf('llama', { ...small, ...sizes });
    const x = draw([B, T, d], 0);
    const most = (recompute: boolean) => {
      const before = engineMemory().live;
      tf.dispose(gradients(model, [x], ([x]) => [model.forward(x!, undefined, { recompute })]));
      expect(engineMemory().live).toBe(before);
      return engineMemory().peak - before;
    };
    const [again, kept] = [most(true), most(false)];
    const state = 4 * B * T * d;
    expect(kept - again).toBeGreaterThan((layers - 2) * 10 * state); // a layer keeps more than ten such
    tf.dispose(x);
    model.dispose();
  });
}, ['native']);

eachEngine(useEngine, (engine) => {
  test.each(Object.keys(architectures))('%s: without a cache', (name) => {
    const model = modelOf(name, small);
    const inputs = [draw([2, 5, 8], 0)];
    const { numTensors } = tf.memory();
    const result = (recompute: boolean) =>
      gradients(model, inputs, ([x]) => [model.forward(x!, undefined, { recompute })]);
    expectSame(engine, result(true), result(false));
    expect(tf.memory().numTensors).toBe(numTensors);
    tf.dispose(inputs);
    model.dispose();
  });

  test.each(Object.keys(architectures))(
    '%s: prompts of different lengths, shared and left by their rows, read block by block from caches gone since',
    (name) => {
      const model = modelOf(name, small);
      const inputs = [draw([2, 4, 8], 1), draw([5, 3, 8], 2), draw([5, 2, 8], 3), draw([2, 1, 8], 4)];
      const { numTensors } = tf.memory();
      const result = (recompute: boolean) =>
        gradients(model, inputs, ([prompts, first, second, third]) => {
          const caches: KeyValueCache[] = [model.createCache(Int32Array.of(0, 2))];
          const forward = (x: tf.Tensor3D) => model.forward(x, caches.at(-1), { recompute });
          const select = (...rows: number[]) => caches.push(caches.at(-1)!.select(Int32Array.from(rows)));
          const states = [forward(prompts!)];
          select(0, 0, 1, 1, 1);
          states.push(forward(first!), forward(second!));
          expect(caches.at(-1)!.length).toBe(9);
          select(4, 0);
          states.push(forward(third!));
          for (const cache of caches) cache.dispose();
          return states;
        });
      expectSame(engine, result(true), result(false));
      expect(tf.memory().numTensors).toBe(numTensors);
      tf.dispose(inputs);
      model.dispose();
    },
  );

  test('a cache that grew before any gradient was taken, in place where the engine can', () => {
    const model = modelOf('llama', small);
    const inputs = [draw([2, 2, 8], 5)];
    const { numTensors } = tf.memory();
    const result = (recompute: boolean) => {
      const cache = model.createCache(Int32Array.of(0, 1));
      for (let t = 0; t < 3; t++) tf.tidy(() => void model.forward(draw([2, 1, 8], 6 + t), cache, { recompute }));
      const found = gradients(model, inputs, ([x]) => [model.forward(x!, cache, { recompute })]);
      found.after = model.forward(inputs[0]!, cache, { recompute });
      cache.dispose();
      return found;
    };
    expectSame(engine, result(true), result(false));
    expect(tf.memory().numTensors).toBe(numTensors);
    tf.dispose(inputs);
    model.dispose();
  });
});
