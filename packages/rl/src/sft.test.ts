import { type CausalLM, saveModel } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { checkpointStore } from './checkpoint.js';
import { adamW } from './optimizers.js';
import { demonstration, type SftEvent, type SftOptions, sft } from './sft.js';
import { digits, temporaryDirectories, toyModel, valuesOf } from './test/toy.js';

const directory = temporaryDirectories();

/** d, then d+1 and d+2 as thought, then d+3: each modulo 10. */
const demonstrations = Array.from({ length: 10 }, (_, d) =>
  demonstration(digits, {
    promptIds: [d],
    thought: `${(d + 1) % 10}${(d + 2) % 10}#`,
    prefill: '=',
    answer: `${(d + 3) % 10}`,
  }),
);

const newModel = (seed = 1) => toyModel({ vocabSize: digits.vocabSize, seed });

const options = (model: CausalLM, path: string, more: Partial<SftOptions> = {}): SftOptions => ({
  model,
  demonstrations,
  optimizer: adamW(),
  schedule: () => 0.02,
  steps: 6,
  batchSize: 4,
  maxTokens: 1000,
  checkpointEvery: 3,
  checkpoints: checkpointStore(path, (dir) => saveModel(model, dir)),
  seed: 1,
  ...more,
});

async function collect(given: SftOptions): Promise<SftEvent[]> {
  const events: SftEvent[] = [];
  for await (const event of sft(given)) events.push(event);
  return events;
}

const losses = (events: SftEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));

async function lossesOf(more: Partial<SftOptions>): Promise<number[]> {
  const model = newModel();
  const all = losses(await collect(options(model, directory(), more)));
  model.dispose();
  return all;
}

test('a demonstration is cut as decoding cuts it', () => {
  expect(demonstrations[8]).toEqual({ promptIds: [8], thoughtIds: [9, 0, 10], answerIds: [11, 1, 12] });
});

eachEngine(
  useEngine,
  () => {
    describe('sft', () => {
      test('the loss is the mean over tokens of -log softmax, of thought and answer alike', async () => {
        const model = newModel();
        const sequence = [8, 9, 0, 10, 11, 1, 12];
        const want = tf.tidy(() => {
          const inputs = model.embed(tf.tensor2d([sequence.slice(0, -1)], undefined, 'int32')) as tf.Tensor3D;
          const logProbs = tf.logSoftmax(model.head.logits(model.forward(inputs))).arraySync() as number[][][];
          return -sequence.slice(1).reduce((sum, id, t) => sum + logProbs[0]![t]![id]!, 0) / 6;
        });
        const events = await collect(options(model, directory(), { demonstrations: [demonstrations[8]!], steps: 1 }));
        expectClose(losses(events), [want], { rel: 1e-5 });
        expect(events[0]).toMatchObject({ type: 'step', step: 1, tokens: 24, learningRate: 0.02 });
        model.dispose();
      });

      test('teaches: the loss falls from chance to next to nothing', async () => {
        const all = await lossesOf({ steps: 120, batchSize: 10, checkpointEvery: 120 });
        expect(all[0]).toBeGreaterThan(2);
        expect(all.at(-1)).toBeLessThan(0.1);
      });

      test('noise on the thought raises the loss of a trained model, more of it more, and none of it nothing', async () => {
        const model = newModel();
        await collect(options(model, directory(), { steps: 120, batchSize: 10, checkpointEvery: 120 }));
        const scales: number[] = [];
        const at = async (maxNoiseScale?: number) => {
          const given = options(model, directory(), { schedule: () => 0, batchSize: 10, steps: 1 });
          if (maxNoiseScale === undefined) return losses(await collect(given))[0]!;
          const noise = () => {
            scales.push(maxNoiseScale);
            return maxNoiseScale;
          };
          return losses(await collect({ ...given, maxNoiseScale: noise }))[0]!;
        };
        const [none, zero, little, much] = [await at(), await at(0), await at(0.3), await at(3)];
        expect(zero).toBe(none);
        expect(little).toBeGreaterThan(none * 1.01);
        expect(much).toBeGreaterThan(little * 2);
        expect(scales).toEqual([0, 0.3, 3]); // asked once a step
        model.dispose();
      });

      test('the noise is Gaussian, on the thought alone, of a scale from U(0, max) in each row and step', async () => {
        const model = newModel();
        const [rows, steps, max] = [40, 3, 0.5];
        const noises: number[][][] = []; // by row: positions of the continuation, coordinates
        const [T, clean] = tf.tidy(() => {
          const { thoughtIds, answerIds } = demonstrations[8]!;
          return [
            thoughtIds.length,
            model.embed(tf.tensor1d([...thoughtIds, ...answerIds.slice(0, -1)], 'int32')).arraySync(),
          ];
        }) as [number, number[][]];
        const watched: CausalLM = {
          ...model,
          forward(inputs, cache) {
            if (inputs.shape[1] === clean.length) {
              const read = inputs.arraySync();
              noises.push(...read.map((row) => row.map((x, t) => x.map((value, j) => value - clean[t]![j]!))));
            }
            return model.forward(inputs, cache);
          },
        };
        const given = { demonstrations: [demonstrations[8]!], batchSize: rows, steps, schedule: () => 0 };
        await collect(options(watched, directory(), { ...given, maxNoiseScale: () => max }));
        expect(noises.length).toBe(rows * steps);
        expectClose(
          noises.flatMap((row) => row.slice(T).flat()),
          new Array((clean.length - T) * model.hiddenSize * noises.length).fill(0),
        );
        const thoughts = noises.map((row) => row.slice(0, T).flat());
        const scales = thoughts.map((row) => Math.sqrt(row.reduce((sum, x) => sum + x * x, 0) / row.length) / max);
        const mean = scales.reduce((sum, x) => sum + x) / scales.length;
        expect(Math.abs(mean - 0.5)).toBeLessThan(0.1); // of 120, with a standard error of 0.03
        expect(Math.min(...scales)).toBeLessThan(0.15);
        expect(Math.max(...scales)).toBeGreaterThan(0.85);
        // No row's noise is another's, nor another's scaled: in 24 dimensions a cosine of 0.9 has no chance.
        const unit = thoughts.map((row, n) => row.map((x) => x / (scales[n]! * max * Math.sqrt(row.length))));
        unit.forEach((a, i) => {
          for (const b of unit.slice(0, i))
            expect(Math.abs(a.reduce((sum, x, j) => sum + x * b[j]!, 0))).toBeLessThan(0.9);
        });
        model.dispose();
      });

      test('micro-batches change nothing but rounding, noise included', async () => {
        const noise = { maxNoiseScale: () => 0.5, steps: 3 };
        expectClose(await lossesOf({ ...noise, maxTokens: 1 }), await lossesOf(noise), { rel: 1e-4 });
      });

      test('layers computed again give the same losses', async () => {
        const model = newModel();
        const forward = vi.spyOn(model, 'forward');
        const again = losses(await collect(options(model, directory(), { recompute: true })));
        expect(forward.mock.calls.length).toBeGreaterThan(0);
        for (const [, , given] of forward.mock.calls) expect(given).toEqual({ recompute: true });
        expectClose(again, await lossesOf({}), { rel: 1e-5 });
        model.dispose();
      });

      test('3 steps, stopped, and 3 more end as 6 at once, to the bit', async () => {
        const noise = { maxNoiseScale: () => 0.5 };
        const all = newModel();
        const events = await collect(options(all, directory(), noise));
        expect(events.map((event) => `${event.type} ${event.step}`)).toEqual([
          ...['step 1', 'step 2', 'step 3', 'checkpoint 3', 'step 4', 'step 5', 'step 6', 'checkpoint 6'],
        ]);
        const path = directory();
        const first = newModel();
        for await (const event of sft(options(first, path, noise)))
          if (event.type === 'step' && event.step === 5) break;
        const second = newModel(2);
        const resumed = await collect(options(second, path, noise));
        expect(resumed[0]).toEqual({ type: 'resumed', step: 3 });
        expect(losses(resumed)).toEqual(losses(events).slice(3));
        expect(valuesOf(second)).toEqual(valuesOf(all));
        for (const model of [all, first, second]) model.dispose();
      });

      test('an abort leaves no tensors, and the reason', async () => {
        const model = newModel();
        const tensors = tf.memory().numTensors;
        const controller = new AbortController();
        const going = async () => {
          for await (const event of sft(options(model, directory(), { signal: controller.signal }))) {
            if (event.step === 2) controller.abort(new Error('enough'));
          }
        };
        await expect(going()).rejects.toThrow('enough');
        expect(tf.memory().numTensors).toBe(tensors);
        model.dispose();
      });

      test('refuses to learn from nothing', async () => {
        const model = newModel();
        await expect(collect(options(model, directory(), { demonstrations: [] }))).rejects.toThrow(/at least one item/);
        model.dispose();
      });
    });
  },
  enginesUnderTest,
);

describe('the same seed on another engine', () => {
  const run = async () => {
    const model = newModel();
    const steps = losses(await collect(options(model, directory(), { maxNoiseScale: () => 0.5 })));
    const values = valuesOf(model);
    model.dispose();
    return { steps, values };
  };
  let want: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    await useEngine('cpu');
    want = await run();
  });

  const others = enginesUnderTest.filter((engine) => engine !== 'cpu');
  eachEngine(
    useEngine,
    () => {
      test('steps by the same losses to the same parameters', async () => {
        const got = await run();
        expectClose(got.steps, want.steps, { rel: 1e-4 });
        for (const [name, values] of Object.entries(want.values)) {
          expectClose(got.values[name]!, values, { rel: 0, abs: 1e-5 });
        }
      });
    },
    others,
  );
});
