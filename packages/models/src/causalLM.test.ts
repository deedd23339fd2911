import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import type { Architecture } from './architecture.js';
import { type CausalLM, createCausalLM, initialWeights } from './causalLM.js';
import { gemma3 } from './gemma3.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { embedded } from './test/parity.js';
import type { WeightValues } from './weightSource.js';

const config = {
  model_type: 'llama',
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  initializer_range: 0.5, // large enough that every part matters
};
const tiny = (extra: object = {}, architecture: Architecture = llama) => {
  const raw = { ...config, ...extra, model_type: architecture.modelType };
  return createCausalLM(architecture, raw, initialWeights(architecture, raw, 7));
};

/** A model without windows, with one of three positions, with one in every other layer and scaled embeddings. */
const kinds: [name: string, make: () => CausalLM][] = [
  ['llama', tiny],
  ['mistral', () => tiny({ sliding_window: 3 }, mistral)],
  ['gemma3', () => tiny({ head_dim: 4, sliding_window: 3, sliding_window_pattern: 2 }, gemma3)],
];
const close = { rel: 1e-5, abs: 1e-6 };
const slice = (x: tf.Tensor3D, begin: number, size: number) => tf.slice3d(x, [0, begin, 0], [-1, size, -1]);
const batch = (model: CausalLM, rows: number[][]) => model.embed(tf.tensor2d(rows, undefined, 'int32')) as tf.Tensor3D;

/** Runs a body and checks that it leaves as many tensors as it found. */
function balanced(body: () => void): void {
  const before = tf.memory().numTensors;
  tf.tidy(body);
  expect(tf.memory().numTensors).toBe(before);
}

eachEngine(useEngine, (engine) => {
  test.each([[[1, 1, 1, 1, 1, 1, 1]], [[3, 4]], [[5, 1, 1]], [[1, 6]]])(
    'in blocks of %j: a cached pass equals the uncached',
    (blocks) => {
      const model = tiny();
      balanced(() => {
        const inputs = embedded(model, [1, 2, 3, 4, 5, 6, 7]);
        const cache = model.createCache(Int32Array.of(0));
        const parts: tf.Tensor3D[] = [];
        let begin = 0;
        for (const size of blocks) {
          parts.push(model.forward(slice(inputs, begin, size), cache));
          begin += size;
          expect(cache.length).toBe(begin);
        }
        expectClose(tf.concat(parts, 1).dataSync(), model.forward(inputs).dataSync(), close);
        cache.dispose();
      });
      model.dispose();
    },
  );

  test.each(kinds)('%s: a batch equals its rows, and left padding changes nothing', (_, make) => {
    // On `cpu` to the bit: positions count from the padding's end, and masked keys add zeros. WebAssembly's product adds
    // in another order for another number of rows.
    const tolerance = engine === 'cpu' ? { rel: 0, abs: 0 } : close;
    const model = make();
    balanced(() => {
      const [long, short] = [
        [1, 2, 3, 4, 5],
        [6, 7, 8],
      ];
      const cache = model.createCache(Int32Array.of(0, 2));
      const prompts = model.forward(batch(model, [long!, [0, 0, ...short!]]), cache);
      const next = model.forward(batch(model, [[9], [10]]), cache);

      const alone = model.forward(embedded(model, [...long!, 9]));
      const unpadded = model.forward(embedded(model, [...short!, 10]));
      expectClose(tf.slice(prompts, [0, 0, 0], [1, 5, -1]).dataSync(), slice(alone, 0, 5).dataSync(), tolerance);
      expectClose(tf.slice(prompts, [1, 2, 0], [1, 3, -1]).dataSync(), slice(unpadded, 0, 3).dataSync(), tolerance);
      expectClose(tf.slice(next, [0, 0, 0], [1, 1, -1]).dataSync(), slice(alone, 5, 1).dataSync(), tolerance);
      expectClose(tf.slice(next, [1, 0, 0], [1, 1, -1]).dataSync(), slice(unpadded, 3, 1).dataSync(), tolerance);
      cache.dispose();
    });
    model.dispose();
  });

  test.each(kinds)('%s: selected rows repeat, reorder and leave, each continuing as its own sequence', (_, make) => {
    const model = make();
    balanced(() => {
      const cache = model.createCache(Int32Array.of(0, 1));
      model.forward(
        batch(model, [
          [1, 2, 3],
          [0, 4, 5],
        ]),
        cache,
      );
      const chosen = cache.select(Int32Array.of(1, 0, 1));
      cache.dispose();
      expect(chosen.length).toBe(3);
      const next = model.forward(batch(model, [[6], [7], [8]]), chosen);
      const want = [
        [4, 5, 6],
        [1, 2, 3, 7],
        [4, 5, 8],
      ].map((ids) => slice(model.forward(embedded(model, ids)), ids.length - 1, 1));
      expectClose(next.dataSync(), tf.concat(want).dataSync(), close);
      chosen.dispose();
    });
    model.dispose();
  });

  test.each(kinds)('%s: gradients flow through a shared, selected prompt as through whole sequences', (_, make) => {
    const model = make();
    const variables = [...model.parameters.values()];
    const [prompts, padding] = [
      [
        [1, 2, 3],
        [0, 4, 5],
      ],
      Int32Array.of(0, 1),
    ];
    const continuations = [
      [6, 7],
      [8, 9],
      [10, 1],
    ];
    const rows = Int32Array.of(0, 1, 1);
    const before = tf.memory().numTensors;
    const shared = tf.variableGrads(() => {
      const cache = model.createCache(padding);
      model.forward(batch(model, prompts), cache);
      const chosen = cache.select(rows);
      cache.dispose(); // before the backward pass, which needs what was in it
      const first = model.forward(
        batch(
          model,
          continuations.map((ids) => ids.slice(0, 1)),
        ),
        chosen,
      );
      const second = model.forward(
        batch(
          model,
          continuations.map((ids) => ids.slice(1)),
        ),
        chosen,
      );
      chosen.dispose();
      return tf.sum(tf.square(model.head.logits(tf.concat([first, second], 1)))) as tf.Scalar;
    }, variables);
    const whole = tf.variableGrads(() => {
      const losses = continuations.map((ids, n) => {
        const prompt = prompts[rows[n]!]!.slice(padding[rows[n]!]);
        const hidden = model.forward(embedded(model, [...prompt, ...ids]));
        return tf.sum(tf.square(model.head.logits(slice(hidden, prompt.length, 2))));
      });
      return tf.addN(losses) as tf.Scalar;
    }, variables);

    expectClose(shared.value.dataSync(), whole.value.dataSync(), { rel: 1e-5 });
    for (const [name, { name: key }] of model.parameters) {
      const want = whole.grads[key]!.dataSync();
      const scale = Math.max(...want.map(Math.abs));
      expect(scale, name).toBeGreaterThan(0);
      expectClose(shared.grads[key]!.dataSync(), want, { rel: 0, abs: 1e-4 * scale });
    }
    tf.dispose([shared, whole]);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test.each(kinds)('%s: a one-hot mix is exactly the embedding, and a mix is linear', (_, make) => {
    const model = make();
    balanced(() => {
      const ids = tf.tensor2d(
        [
          [3, 0],
          [10, 3],
        ],
        undefined,
        'int32',
      );
      const oneHot = tf.oneHot(ids, 11) as tf.Tensor3D;
      expect(model.mix(oneHot).dataSync()).toEqual(model.embed(ids).dataSync());
      const [a, b] = [3, 10].map((id) => model.embed(tf.tensor1d([id], 'int32')));
      expectClose(a!.dataSync(), tf.mul(tf.slice(model.inputEmbedding, 3, 1), model.embeddingScale).dataSync(), close);
      const weights = tf.buffer([1, 11], 'float32');
      weights.set(0.25, 0, 3);
      weights.set(0.75, 0, 10);
      expectClose(model.mix(weights.toTensor()).dataSync(), a!.mul(0.25).add(b!.mul(0.75)).dataSync(), close);
    });
    model.dispose();
  });

  test.each([false, true])('tied %s: the head reads its own matrix', (tie_word_embeddings) => {
    const model = tiny({ tie_word_embeddings });
    balanced(() => {
      const output = model.parameters.get(tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight')!;
      const hidden = tf.randomNormal([2, 8], 0, 1, 'float32', 1) as tf.Tensor2D;
      const logits = tf.matMul(hidden, output as tf.Tensor2D, false, true);
      expectClose(model.head.logits(hidden).dataSync(), logits.dataSync(), close);
      const ids = tf.tensor1d([4, 9], 'int32');
      const logP = tf.logSoftmax(logits.div(0.5)).mul(tf.oneHot(ids, 11)).sum(-1);
      expectClose(model.head.logProb(hidden, ids, 0.5).dataSync(), logP.dataSync(), close);
      const mixture = tf.matMul(tf.softmax(logits.div(0.5)), model.inputEmbedding);
      expectClose(model.head.mixture(hidden, 0.5).dataSync(), mixture.dataSync(), close);
    });
    model.dispose();
  });

  test.each(kinds)('%s: the mixture of a state that is all but certain is the embedding of its id', (_, make) => {
    const model = make();
    balanced(() => {
      const hidden = tf.randomNormal([3, 8], 0, 1, 'float32', 1) as tf.Tensor2D;
      const ids = tf.argMax(model.head.logits(hidden), -1);
      const mixture = model.head.mixture(hidden, 1e-6);
      expect(mixture.dataSync()).toEqual(model.embed(ids).dataSync());
      expect(model.mix(tf.softmax(model.head.logits(hidden).div(1e-6))).dataSync()).toEqual(mixture.dataSync());
    });
    model.dispose();
  });
});

eachEngine(
  useEngine,
  () => {
    test('parameterCount counts every parameter once', () => {
      // E 11·8; a layer 2·8 + q, o 8·8 each + k, v 4·8 each + 3·8·12; the last norm 8
      const layer = 16 + 2 * 64 + 2 * 32 + 3 * 96;
      const tied = tiny();
      const untied = tiny({ tie_word_embeddings: false });
      expect(tied.parameterCount).toBe(88 + 2 * layer + 8);
      expect(untied.parameterCount).toBe(tied.parameterCount + 88);
      expect(tied.config.tie_word_embeddings).toBe(true);
      tied.dispose();
      untied.dispose();
    });

    test('two models live side by side, and dispose frees everything', () => {
      const before = tf.memory().numTensors;
      const models = [tiny(), tiny()];
      for (const model of models) model.dispose();
      expect(tf.memory().numTensors).toBe(before);
    });

    test('outside tf.tidy every operation leaves its result and nothing else', () => {
      const model = tiny();
      const ids = tf.tensor2d([[1, 2]], undefined, 'int32');
      const inputs = model.embed(ids) as tf.Tensor3D;
      const oneHot = tf.oneHot(ids, 11, 1, 0, 'float32');
      const operations = [
        () => model.embed(ids),
        () => model.mix(oneHot),
        () => model.forward(inputs),
        () => model.head.logits(inputs),
        () => model.head.logProb(inputs, ids, 1),
        () => model.head.mixture(inputs, 1),
      ];
      for (const operation of operations) {
        const before = tf.memory().numTensors;
        operation().dispose();
        expect(tf.memory().numTensors, String(operation)).toBe(before);
      }
      tf.dispose([ids, inputs, oneHot]);
      model.dispose();
    });

    test('initialWeights: by seed; the asked-for spread; norms 1', () => {
      const raw = { ...config, vocab_size: 2000, initializer_range: 0.02 };
      const [a, b, other] = [1, 1, 2].map((seed) => initialWeights(llama, raw, seed));
      expect(a).toEqual(b);
      const table = a!['model.embed_tokens.weight']!.values;
      expect(table).not.toEqual(other!['model.embed_tokens.weight']!.values);
      expect(Math.sqrt(table.reduce((sum, x) => sum + x * x, 0) / table.length)).toBeCloseTo(0.02, 3);
      expect(a!['model.norm.weight']!.values).toEqual(new Float32Array(8).fill(1));
      const q = (layer: number) => a![`model.layers.${layer}.self_attn.q_proj.weight`]!.values;
      expect(q(0)).not.toEqual(q(1));
      expect(a!['lm_head.weight']).toBeUndefined();
      const biased = initialWeights(llama, { ...raw, attention_bias: true, tie_word_embeddings: false }, 1);
      expect(biased['model.layers.1.self_attn.o_proj.bias']!.values).toEqual(new Float32Array(8));
      expect(biased['lm_head.weight']!.shape).toEqual([2000, 8]);
      const gemma = initialWeights(gemma3, { ...raw, model_type: 'gemma3_text', head_dim: 4 }, 1);
      expect(gemma['model.norm.weight']!.values).toEqual(new Float32Array(8)); // it multiplies by 1 + weight
      expect(gemma['model.layers.0.self_attn.q_norm.weight']!.values).toEqual(new Float32Array(4));
    });

    test('a tied checkpoint may repeat its embedding, not contradict it; old frequencies are ignored', () => {
      const weights = initialWeights(llama, config, 1);
      const E = weights['model.embed_tokens.weight']!;
      const inverse = { shape: [1], values: Float32Array.of(1) };
      const extra = { ...weights, 'model.layers.0.self_attn.rotary_emb.inv_freq': inverse };
      const tied = { ...config, tie_word_embeddings: true };
      const model = createCausalLM(llama, tied, { ...extra, 'lm_head.weight': E });
      expect(model.parameters.has('lm_head.weight')).toBe(false);
      expect(model.parameters.size).toBe(Object.keys(weights).length);
      model.dispose();
      const other = { ...E, values: E.values.map((x) => x + 1) };
      expect(() => createCausalLM(llama, tied, { ...weights, 'lm_head.weight': other })).toThrow('lm_head.weight');
    });

    const norm = 'model.norm.weight';
    test.each<[string, (weights: Record<string, WeightValues>) => void, string]>([
      ['missing', (w) => delete w[norm], `expected a tensor ${norm} [8], got none`],
      ['extra', (w) => (w['model.foo'] = w[norm]!), 'model.foo: expected no such tensor'],
      [
        'misshapen',
        (w) => (w[norm] = { shape: [2, 4], values: w[norm]!.values }),
        `${norm}: expected shape [8], got [2,4]`,
      ],
      ['NaN', (w) => (w[norm]!.values[3] = Number.NaN), `${norm}: expected finite weights, got NaN at element 3`],
      ['infinite', (w) => (w[norm]!.values[0] = Number.NEGATIVE_INFINITY), 'got -Infinity at element 0'],
      ['integer', (w) => (w[norm] = { shape: [8], values: new Int32Array(8) as never }), 'expected floating-point'],
    ])('refused: a weight that is %s', (_, damage, message) => {
      const weights = initialWeights(llama, config, 1);
      damage(weights);
      const before = tf.memory().numTensors;
      const create = () => createCausalLM(llama, config, weights, { where: (name) => `${name} in a.safetensors` });
      expect(create).toThrow(message);
      expect(create).toThrow('in a.safetensors');
      expect(tf.memory().numTensors).toBe(before);
    });

    test('refused: inputs and caches that do not fit', () => {
      const model = tiny();
      const cache = model.createCache(Int32Array.of(0, 0));
      expect(() => model.forward(tf.zeros([1, 2, 9]))).toThrow('expected inputs [B, T, 8] with T > 0, got [1,2,9]');
      expect(() => model.forward(tf.zeros([1, 0, 8]))).toThrow('got [1,0,8]');
      expect(() => model.forward(tf.zeros([1, 2, 8]), cache)).toThrow('expected 2 rows, as the cache has, got 1');
      expect(() => model.forward(tf.zeros([1, 2, 8]), { ...cache, length: 0 })).toThrow('createCache()');
      expect(() => model.mix(tf.zeros([2, 8]))).toThrow('mix: expected weights [..., 11], got [2,8]');
      expect(() => cache.select(Int32Array.of(0, 2))).toThrow('rows[1]: expected a row in 0..1, got 2');
      expect(() => model.createCache(Int32Array.of(0, -1))).toThrow(
        'padding[1]: expected a count of positions, got -1',
      );
      cache.dispose();
      expect(() => model.forward(tf.zeros([2, 2, 8]), cache)).toThrow('got a disposed one');
      expect(() => cache.select(Int32Array.of(0))).toThrow('got a disposed one');
      model.dispose();
    });
  },
  enginesUnderTest,
);
