// On the engine `native` a whole model gives every sequence the same bits, whatever it is computed beside and by however
// many threads, and its gradients do not depend on the threads.
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Architecture } from './architecture.js';
import { type CausalLM, createCausalLM, initialWeights } from './causalLM.js';
import { gemma3 } from './gemma3.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen3 } from './qwen3.js';

// Large enough that threads share the work of every layer.
const config = {
  vocab_size: 500,
  hidden_size: 96,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  initializer_range: 0.1,
};
/** Those with parts of their own: norms of heads, windows shorter than the rows, both. */
const architectures: [name: string, architecture: Architecture, own: object][] = [
  ['llama', llama, {}],
  ['qwen3', qwen3, { head_dim: 32 }],
  ['mistral', mistral, { sliding_window: 17 }],
  ['gemma3', gemma3, { head_dim: 32, sliding_window: 17, sliding_window_pattern: 2 }],
];
const [B, T] = [7, 60];
const rows = Array.from({ length: B }, (_, b) => Array.from({ length: T }, (_, t) => (b * 131 + t * t * 17 + t) % 500));

const embedded = (model: CausalLM, ids: number[][]) => model.embed(tf.tensor2d(ids, undefined, 'int32')) as tf.Tensor3D;
const bits = (x: tf.Tensor) => {
  const values = x.dataSync<'float32'>();
  expect(values.every(Number.isFinite)).toBe(true);
  return Buffer.from(values.slice().buffer).toString('base64');
};

eachEngine(
  useEngine,
  () =>
    describe.each(architectures)('%s', (_, architecture, own) => {
      let model: CausalLM;
      beforeEach(async () => {
        await useEngine('native', { threads: 3 });
        const raw = { ...config, ...own, model_type: architecture.modelType };
        model = createCausalLM(architecture, raw, initialWeights(architecture, raw, 7));
      });
      afterEach(() => model.dispose());
      afterAll(() => useEngine('native'));

      test('hidden states, logits, log-probabilities and mixtures of a row alone are those of it in a batch', () => {
        const ids = tf.tensor2d(rows, undefined, 'int32');
        const outputs = (first: number, count: number) => {
          const hidden = model.forward(embedded(model, rows.slice(first, first + count)));
          const next = tf.slice(ids, first, count);
          return [
            hidden,
            model.head.logits(hidden),
            model.head.logProb(hidden, next, 0.8),
            model.head.mixture(hidden, 0.5),
          ];
        };
        tf.tidy(() => {
          const all = outputs(0, B);
          for (let b = 0; b < B; b++) {
            expect(outputs(b, 1).map(bits)).toEqual(all.map((x) => bits(tf.slice(x, b, 1))));
          }
          expect(outputs(2, 3).map(bits)).toEqual(all.map((x) => bits(tf.slice(x, 2, 3))));
        });
        ids.dispose();
      });

      test('left padding, blocks of any size on a cache, and rows that leave change no bit', () => {
        tf.tidy(() => {
          const alone = rows.map((ids, b) => model.forward(embedded(model, [ids.slice(b)]))); // of length T - b
          const padded = rows.map((ids, b) => [...new Array<number>(b).fill(0), ...ids.slice(b)]);
          const padding = Int32Array.from(rows, (_, b) => b);
          for (const blocks of [[T], [20, 20, 20], [B, ...new Array<number>(T - B).fill(1)]]) {
            let cache = model.createCache(padding);
            let kept = rows.map((_, b) => b);
            let begin = 0;
            for (const size of blocks) {
              const inputs = embedded(
                model,
                kept.map((b) => padded[b]!.slice(begin, begin + size)),
              );
              const hidden = model.forward(inputs, cache);
              kept.forEach((b, i) => {
                const from = Math.max(0, b - begin); // the first position that is not padding
                const got = tf.slice(hidden, [i, from, 0], [1, size - from, -1]);
                const want = tf.slice(alone[b]!, [0, begin + from - b, 0], [1, size - from, -1]);
                expect(bits(got), `row ${b} from position ${begin}`).toBe(bits(want));
              });
              begin += size;
              if (begin < 30 || kept.length === 2) continue;
              const stay = Int32Array.of(kept.length - 1, 1);
              const chosen = cache.select(stay);
              cache.dispose();
              cache = chosen;
              kept = Array.from(stay, (i) => kept[i]!);
            }
            cache.dispose();
          }
        });
      });

      test('values and gradients do not depend on the number of threads', async () => {
        const variables = [...model.parameters.values()];
        const results: string[][] = [];
        for (const threads of [1, 2, 3, 5]) {
          await useEngine('native', { threads });
          const { value, grads } = tf.variableGrads(() => {
            const hidden = model.forward(embedded(model, rows));
            const next = tf.tensor2d(rows, undefined, 'int32');
            const mixture = tf.mean(tf.square(model.head.mixture(hidden, 0.5)));
            return tf.add(tf.neg(tf.mean(model.head.logProb(hidden, next, 1))), mixture) as tf.Scalar;
          }, variables);
          results.push([bits(value), ...variables.map(({ name }) => bits(grads[name]!))]);
          tf.dispose([value, grads]);
        }
        for (const result of results) expect(result).toEqual(results[0]);
      });
    }),
  ['native'],
);
