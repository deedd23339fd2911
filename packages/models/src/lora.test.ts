// Adapters against PEFT (reference/lora_fixtures.py), and what they leave alone.
import { readdirSync } from 'node:fs';
import { engineMemory, leanTape, normalArray, readSafetensors, useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { type CausalLM, createCausalLM } from './causalLM.js';
import { loadModel } from './huggingFace.js';
import { llama } from './llama.js';
import { type LoraModel, linearNames, mergeLora, withLora } from './lora.js';
import { adapterCases, adapterFixture, loadAdapterCase } from './test/adapters.js';
import { embedded, fixture } from './test/parity.js';

const logitsOf = (model: CausalLM, ids: number[]) =>
  tf.tidy(() =>
    model.head
      .logits(model.forward(embedded(model, ids)))
      .dataSync<'float32'>()
      .slice(),
  );

/** The mean of -log softmax(logits[t])[ids[t + 1]]. */
const lossOf = (model: CausalLM, ids: number[], recompute = false): tf.Scalar =>
  tf.tidy(() => {
    const hidden = model.forward(embedded(model, ids.slice(0, -1)), undefined, { recompute });
    return tf.neg(tf.mean(model.head.logProb(hidden, tf.tensor2d([ids.slice(1)], undefined, 'int32'), 1))) as tf.Scalar;
  });

/** Gradients of the model's parameters, by name. */
function gradientsOf(model: CausalLM, ids: number[], recompute = false): Record<string, Float32Array> {
  const variables = [...model.parameters.values()];
  const { value, grads } = tf.variableGrads(() => leanTape(() => lossOf(model, ids, recompute)), variables);
  const values = Array.from(model.parameters, ([name, variable]) => [name, grads[variable.name]!.dataSync().slice()]);
  tf.dispose([value, grads]);
  return Object.fromEntries(values);
}

const valuesOf = (model: CausalLM) =>
  Object.fromEntries(Array.from(model.parameters, ([name, x]) => [name, x.dataSync<'float32'>().slice()]));

const within = (want: ArrayLike<number>, rel: number) => ({
  rel: 0,
  abs: rel * Math.max(...Array.from(want, Math.abs)),
});

/** Sets B, which is 0 at first, at random. */
function moveB(model: LoraModel): void {
  [...model.parameters].forEach(([name, variable], sample) => {
    if (!name.endsWith('.lora_B.weight')) return;
    const values = normalArray({ seed: 5, step: 0, sample, position: 0, stream: 0 }, variable.size);
    tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
  });
}

const ids = [3, 1, 4, 1, 5, 9, 2, 6];

// The first test of the file, since a peak is for ever.
eachEngine(useEngine, () => {
  test('a step takes less memory than one of all parameters: no gradient of a weight is made', () => {
    const sizes = { vocab_size: 4000, hidden_size: 64, intermediate_size: 192, num_hidden_layers: 4 };
    const config = { model_type: 'llama', num_attention_heads: 2, rms_norm_eps: 1e-5, ...sizes };
    const weights = [...llama.parameterShapes(llama.parseConfig(config, ''))].map(([name, shape]) => {
      const values = Float32Array.from({ length: tf.util.sizeFromShape(shape) }, (_, i) => Math.sin(i)); // in no kernel's memory
      return [name, { shape, values }];
    });
    const model = createCausalLM(llama, config, Object.fromEntries(weights));
    const lora = withLora(model, { r: 2, alpha: 4, target: 'all-linear', seed: 1 });
    const bytes = 4 * model.parameterCount;
    const most = (of: CausalLM, recompute: boolean) => {
      const before = engineMemory().live;
      const { value, grads } = tf.variableGrads(
        () => leanTape(() => lossOf(of, ids, recompute)),
        [...of.parameters.values()],
      );
      const held = engineMemory().live - before;
      tf.dispose([value, grads]);
      expect(engineMemory().live).toBe(before);
      return { peak: engineMemory().peak - before, held };
    };
    for (const recompute of [true, false]) {
      const adapters = most(lora, recompute);
      expect(adapters.held).toBeLessThanOrEqual(4 * lora.parameterCount + 4);
      expect(adapters.peak).toBeLessThan(0.5 * bytes); // activations; the table alone is three quarters
    }
    expect(most(model, false).peak).toBeGreaterThan(bytes);
    lora.dispose();
    model.dispose();
  });
}, ['native']);

eachEngine(useEngine, () => {
  test.each(adapterCases)("%s: logits, loss and the adapters' gradients are PEFT's", async (name) => {
    const { model, expected } = await loadAdapterCase(name);
    const want = expected.logits.flat();
    expectClose(logitsOf(model, expected.ids), want, within(want, 1e-5));
    expectClose(lossOf(model, expected.ids).dataSync(), [expected.loss], { rel: 1e-5 });
    const gradients = await readSafetensors(`${adapterFixture(name)}/gradients.safetensors`);
    for (const recompute of [false, true]) {
      const got = gradientsOf(model, expected.ids, recompute);
      expect(Object.keys(got).sort()).toEqual(Object.keys(gradients).sort());
      for (const [parameter, { values }] of Object.entries(gradients)) {
        expectClose(got[parameter]!, values, within(values, 1e-4));
      }
    }
    model.base.dispose();
    model.dispose();
  });

  test.each(adapterCases)('%s: with a cache, and merged, it computes the same', async (name) => {
    const { model, expected } = await loadAdapterCase(name);
    const want = logitsOf(model, expected.ids);
    const cache = model.createCache(Int32Array.of(0));
    const steps = expected.ids.map((id) =>
      tf.tidy(() =>
        model.head
          .logits(model.forward(embedded(model, [id]), cache))
          .dataSync<'float32'>()
          .slice(),
      ),
    );
    cache.dispose();
    expectClose(
      steps.flatMap((step) => [...step]),
      want,
      within(want, 1e-5),
    );
    const { numTensors } = tf.memory();
    const adapters = model.parameters.size;
    const merged = mergeLora(model);
    expect(tf.memory().numTensors).toBe(numTensors - adapters);
    expect(merged).toBe(model.base);
    expectClose(logitsOf(merged, expected.ids), want, within(want, 1e-5));
    merged.dispose();
  });

  // Of every architecture.
  test.each(readdirSync(fixture('')))('%s: a fresh adapter changes nothing, one that is moved does', async (name) => {
    const base = await loadModel(fixture(name));
    const before = valuesOf(base);
    const { numTensors } = tf.memory();
    const model = withLora(base, { r: 2, alpha: 4, target: 'all-linear', seed: 1 });
    const want = logitsOf(base, ids);
    expect(logitsOf(model, ids)).toEqual(want);
    moveB(model);
    for (const layer of linearNames(new Map(Array.from(base.parameters, ([name, { shape }]) => [name, shape])))) {
      const one = withLora(base, { r: 2, alpha: 4, target: [layer], seed: 1 });
      moveB(one);
      expect(logitsOf(one, ids), layer).not.toEqual(want); // no layer is passed by
      one.dispose();
    }
    expect(logitsOf(model, ids)).not.toEqual(want);
    expect(logitsOf(base, ids)).toEqual(want);
    expect(valuesOf(base)).toEqual(before);
    expect(model.parameterCount).toBe([...model.parameters.values()].reduce((sum, { size }) => sum + size, 0));
    model.dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
    base.dispose();
  });

  test('A is uniform in ±1/√in, from the seed alone; B is 0', async () => {
    const base = await loadModel(fixture('llama-untied-gqa'));
    const fresh = (seed: number) => {
      const model = withLora(base, { r: 64, alpha: 4, target: ['o_proj', 'layers.1.mlp.down_proj'], seed });
      const values = valuesOf(model);
      model.dispose();
      return values;
    };
    const [one, again, other] = [fresh(1), fresh(1), fresh(2)];
    expect(one).toEqual(again);
    expect(Object.keys(one)).toEqual(
      ['0.self_attn.o_proj', '1.self_attn.o_proj', '1.mlp.down_proj'].flatMap((layer) =>
        ['A', 'B'].map((part) => `base_model.model.model.layers.${layer}.lora_${part}.weight`),
      ),
    );
    for (const [name, values] of Object.entries(one)) {
      if (name.includes('lora_B')) {
        expect(values.every((x) => x === 0)).toBe(true);
        continue;
      }
      const bound = 1 / Math.sqrt(values.length / 64);
      expect(values).not.toEqual(other[name]);
      expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(bound);
      const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
      const square = values.reduce((sum, x) => sum + x * x, 0) / values.length;
      expect(Math.abs(mean)).toBeLessThan((5 * bound) / Math.sqrt(3 * values.length));
      expect(square).toBeGreaterThan((0.9 * bound ** 2) / 3); // the variance of a uniform draw is bound² / 3
      expect(square).toBeLessThan((1.1 * bound ** 2) / 3);
    }
    base.dispose();
  });

  test('the scale is α / r, and α / √r with useRslora', async () => {
    const base = await loadModel(fixture('llama-tied'));
    const logits = (settings: { alpha: number; useRslora?: boolean }) => {
      const model = withLora(base, { r: 4, target: ['v_proj'], seed: 1, ...settings });
      moveB(model);
      const values = logitsOf(model, ids);
      model.dispose();
      return values;
    };
    expect(logits({ alpha: 6, useRslora: true })).toEqual(logits({ alpha: 12 }));
    expect(logits({ alpha: 6 })).not.toEqual(logits({ alpha: 12 }));
    base.dispose();
  });

  test.each<[string, Partial<Parameters<typeof withLora>[1]>, RegExp]>([
    ['no rank', { r: 0 }, /^withLora: r: expected a whole number > 0, got 0$/],
    ['half a rank', { r: 1.5 }, /r: expected a whole number > 0, got 1.5/],
    ['no alpha', { alpha: 0 }, /^withLora: alpha: expected a number > 0, got 0$/],
    ['an alpha that is no number', { alpha: Number.NaN }, /alpha: expected a number > 0, got NaN/],
    ['no target', { target: [] }, /target: expected all-linear, or some of q_proj, .*, down_proj, got none/],
    ['an unknown target', { target: ['q_proj', 'c_attn'] }, /target: expected all-linear, .*, got c_attn/],
    ['part of a name', { target: ['proj'] }, /got proj/],
    ['the embedding', { target: ['embed_tokens'] }, /got embed_tokens/],
    ['the output matrix', { target: ['lm_head'] }, /got lm_head/],
    ['a norm', { target: ['input_layernorm'] }, /got input_layernorm/],
  ])('refuses %s', async (_, change, message) => {
    const base = await loadModel(fixture('llama-untied-gqa'));
    const { numTensors } = tf.memory();
    expect(() => withLora(base, { r: 2, alpha: 4, target: 'all-linear', seed: 1, ...change })).toThrow(message);
    expect(tf.memory().numTensors).toBe(numTensors);
    base.dispose();
  });

  test('refuses a base with adapters', async () => {
    const base = await loadModel(fixture('llama-tied'));
    const model = withLora(base, { r: 2, alpha: 4, target: 'all-linear', seed: 1 });
    expect(() => withLora(model, { r: 2, alpha: 4, target: 'all-linear', seed: 1 })).toThrow(/merge them first/);
    model.dispose();
    base.dispose();
  });
});
