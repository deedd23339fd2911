import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '@soft-tokens/models';
import {
  type Action,
  hard,
  hiddenNoise,
  logitNoise,
  type Mode,
  type Placement,
  type Sampler,
  samplerFor,
  topKNoise,
} from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { freeze } from './freeze.js';
import { adamW, type Optimizer } from './optimizers.js';
import type { RewardFunction } from './rewards.js';
import { checkpointOf, closeness, collect, newModel, run, stepsOf } from './test/run.js';
import { digitQuestions, digits, temporaryDirectories, toyModel, valuesOf } from './test/toy.js';
import { EMBEDDING_PARAMETER, type StepEvent, type TrainEvent, type TrainOptions, train } from './train.js';

const directory = temporaryDirectories();

/** Mean reward of the first and of the last five steps of a run of 40, and its last greedy accuracy. */
async function learn(options: Partial<TrainOptions>): Promise<{ first: number; last: number; accuracy: number }> {
  const model = newModel();
  const events = await collect(
    run(model, directory(), {
      trainQuestions: digitQuestions('7', '2'),
      steps: 40,
      samples: 32,
      schedule: () => 0.02,
      maxTokens: 4096,
      validateEvery: 40,
      checkpointEvery: 40,
      ...options,
    }),
  );
  model.dispose();
  const rewards = stepsOf(events).map(({ reward }) => reward);
  const mean = (values: number[]) => values.reduce((sum, x) => sum + x) / values.length;
  const validations = events.flatMap((event) => (event.type === 'validation' ? [event.accuracy] : []));
  return { first: mean(rewards.slice(0, 5)), last: mean(rewards.slice(-5)), accuracy: validations.at(-1)! };
}

eachEngine(
  useEngine,
  () => {
    describe('train', () => {
      test('tells what happens, in order, and counts it', async () => {
        const path = directory();
        const model = newModel();
        const start = valuesOf(model);
        const events = await collect(run(model, path));
        const best = events.filter((event) => event.type === 'best').map(({ step }) => step);
        expect(best[0]).toBe(2);
        expect(events.map((event) => `${event.type} ${event.step}`)).toEqual([
          'validation 0',
          'step 1',
          'step 2',
          'validation 2',
          'best 2',
          'step 3',
          'checkpoint 3',
          'step 4',
          'validation 4',
          ...(best.includes(4) ? ['best 4'] : []),
          'step 5',
          'step 6',
          'validation 6',
          ...(best.includes(6) ? ['best 6'] : []),
          'checkpoint 6',
        ]);
        for (const event of stepsOf(events)) {
          expect(event.samples.length).toBe(16);
          expect(event.reward).toBeCloseTo(event.samples.reduce((sum, { reward }) => sum + reward, 0) / 16, 10);
          expect(event.tokens).toBe(
            event.samples.reduce((sum, { shadowIds, answerIds }) => sum + shadowIds.length + answerIds.length, 0),
          );
          expect(event.learningRate).toBe(run(model, path).schedule(event.step));
          expect(event.gradientNorm).toBeGreaterThan(0);
        }
        // Two questions a step, three in all: the first three steps see each twice.
        const seen = stepsOf(events)
          .slice(0, 3)
          .flatMap(({ samples }) => [samples[0]!.questionId, samples[8]!.questionId]);
        expect(seen.sort()).toEqual(['q0', 'q0', 'q1', 'q1', 'q2', 'q2']);
        expect(readdirSync(path).sort()).toEqual(['best', 'step-000006']);
        // The model ends as the last checkpoint, and is not what it was.
        expect((await checkpointOf(path)).values).toEqual(valuesOf(model));
        expect(valuesOf(model)).not.toEqual(start);
        model.dispose();
      });

      test("the embedding's share of the squared gradient", async () => {
        const squares = new Map<string, number>();
        const optimizer: Optimizer = {
          ...adamW(),
          update: (_, gradients) => {
            for (const [name, g] of gradients) {
              squares.set(
                name,
                g.dataSync<'float32'>().reduce((sum, x) => sum + x * x, 0),
              );
            }
          },
        };
        const model = newModel();
        const [event] = stepsOf(await collect(run(model, directory(), { optimizer, steps: 1 })));
        const all = [...squares.values()].reduce((sum, square) => sum + square, 0);
        expect(event!.embeddingGradientShare).toBeCloseTo(squares.get(EMBEDDING_PARAMETER)! / all, 5);
        expect(event!.embeddingGradientShare).toBeGreaterThan(0.01);
        const frozen = { ...run(model, directory()), model: freeze(model, [EMBEDDING_PARAMETER]), steps: 1 };
        expect(stepsOf(await collect(frozen))[0]!.embeddingGradientShare).toBeUndefined();
        model.dispose();
      });

      test('the same seed gives the same bits, another seed others', async () => {
        const results = [];
        for (const seed of [1, 1, 2]) {
          const model = newModel();
          const events = await collect(run(model, directory(), { steps: 3, seed }));
          results.push({ values: valuesOf(model), losses: stepsOf(events).map(({ loss }) => loss) });
          model.dispose();
        }
        expect(results[1]).toEqual(results[0]);
        expect(results[2]!.losses).not.toEqual(results[0]!.losses);
      });

      test('layers computed again in the updates, and there alone, give the same losses', async () => {
        const [model, other] = [newModel(), newModel()];
        const kept = stepsOf(await collect(run(other, directory(), { steps: 2 })));
        const forward = vi.spyOn(model, 'forward');
        const again = stepsOf(await collect(run(model, directory(), { steps: 2, recompute: true })));
        const updates = forward.mock.calls.filter(([, , options]) => options !== undefined);
        expect(updates.length).toBeGreaterThan(0);
        for (const [, , options] of updates) expect(options).toEqual({ recompute: true });
        expect(forward.mock.calls.length).toBeGreaterThan(updates.length);
        expectClose(
          again.map(({ loss }) => loss),
          kept.map(({ loss }) => loss),
          { rel: 1e-4 },
        );
        tf.dispose([...model.parameters.values(), ...other.parameters.values()]);
      });

      test('draws afresh at each step: the same question and weights give other samples', async () => {
        const model = newModel();
        const trainQuestions = digitQuestions('7');
        const given = { trainQuestions, questionsPerStep: 1, steps: 2, schedule: () => 0 };
        const [first, second] = stepsOf(await collect(run(model, directory(), given)));
        const inputs = ({ samples }: StepEvent) => samples.map(({ action }) => action.input!.values);
        expect(new Set(inputs(first!).map(String)).size).toBe(8);
        for (const values of inputs(second!)) expect(inputs(first!)).not.toContainEqual(values);
        model.dispose();
      });

      test('keeps the model of the best validation, the first of equals', async () => {
        const path = directory();
        const model = newModel();
        // Correct answers by the validation: 0, 1, 2, 1, 2, of two questions each; training takes other rewards.
        const correct = [0, 0, 1, 0, 1, 1, 1, 0, 1, 1];
        let asked = 0;
        const events: TrainEvent[] = [];
        const after: Record<number, Record<string, Float32Array>> = {};
        const reward: RewardFunction = (text, gold) =>
          gold === 'validate' ? { reward: 0, boxed: true, correct: correct[asked++] === 1 } : closeness(text, gold);
        const validationQuestions = digitQuestions('validate', 'validate');
        for await (const event of train(
          run(model, path, { reward, validationQuestions, steps: 4, validateEvery: 1 }),
        )) {
          events.push(event);
          if (event.type === 'step') after[event.step] = valuesOf(model);
        }
        expect(events.flatMap((event) => (event.type === 'best' ? [[event.step, event.accuracy]] : []))).toEqual([
          [1, 0.5],
          [2, 1],
        ]);
        const best = await loadModel(join(path, 'best'));
        expect(valuesOf(best)).toEqual(after[2]);
        expect(after[2]).not.toEqual(after[4]);
        expect((await checkpointOf(path)).best).toEqual({ step: 2, accuracy: 1 });
        best.dispose();
        model.dispose();
      });

      test.each<Mode>(['hard', 'soft', 'fuzzy'])(
        '%s: 3 steps, stopped, and 3 more end as 6 at once, to the bit',
        async (mode) => {
          const [whole, parts] = [directory(), directory()];
          const modes = {
            sampler: samplerFor(`${mode}-sample`, 0.3),
            greedySampler: samplerFor(`${mode}-greedy`, 0.3),
          };
          const all = newModel();
          const events = await collect(run(all, whole, modes));
          const first = newModel();
          for await (const event of train(run(first, parts, modes))) {
            if (event.type === 'step' && event.step === 5) break; // two steps after the last checkpoint
          }
          const second = toyModel({ vocabSize: digits.vocabSize, seed: 2 }); // of other weights: all are restored
          const resumed = await collect(run(second, parts, modes));
          expect(resumed[0]).toEqual({ type: 'resumed', step: 3 });
          expect(stepsOf(resumed).map(({ step, loss, reward }) => [step, loss, reward])).toEqual(
            stepsOf(events)
              .slice(3)
              .map(({ step, loss, reward }) => [step, loss, reward]),
          );
          expect(valuesOf(second)).toEqual(valuesOf(all));
          expect(await checkpointOf(parts)).toEqual(await checkpointOf(whole));
          expect(await collect(run(second, parts, modes))).toEqual([{ type: 'resumed', step: 6 }]);
          for (const model of [all, first, second]) model.dispose();
        },
      );

      test('an abort in a rollout, an update or a validation leaves a resumable run and no tensors', async () => {
        const path = directory();
        const model = newModel();
        const whole = newModel();
        await collect(run(whole, directory(), { maxTokens: 1 }));
        const tensors = tf.memory().numTensors;
        for (const place of ['rollout', 'update', 'validation'] as const) {
          const controller = new AbortController();
          const sampler = samplerFor('soft-sample', 0.3);
          let step = 0;
          const stoppingIn =
            <In extends unknown[], Out>(here: typeof place, f: (...given: In) => Out) =>
            (...given: In): Out => {
              if (place === here && step > 3) controller.abort(new Error(`stop in ${place}`));
              return f(...given);
            };
          const stopping: Sampler<Action> = {
            ...sampler,
            step: stoppingIn('rollout', sampler.step),
            logProb: stoppingIn('update', sampler.logProb),
          };
          const greedy = samplerFor('soft-greedy', 0.3);
          const greedySampler: Sampler<Action> = {
            ...greedy,
            step: stoppingIn('validation', greedy.step),
          };
          const options = run(model, path, {
            sampler: stopping,
            greedySampler,
            signal: controller.signal,
            maxTokens: 1,
          });
          const going = async () => {
            for await (const event of train(options)) {
              if (event.type !== 'validation') step = event.step + 1;
            }
          };
          await expect(going()).rejects.toThrow(`stop in ${place}`);
          expect(tf.memory().numTensors).toBe(tensors);
          expect(readdirSync(path).filter((name) => name.startsWith('step'))).toEqual(['step-000003']);
        }
        await collect(run(model, path, { maxTokens: 1 }));
        expect(valuesOf(model)).toEqual(valuesOf(whole));
        expect(tf.memory().numTensors).toBe(tensors);
        model.dispose();
        whole.dispose();
      });

      test('refuses to train on nothing, and gradients that are not finite', async () => {
        const model = newModel();
        const path = directory();
        await expect(collect(run(model, path, { trainQuestions: [] }))).rejects.toThrow(/trainQuestions: .*got none/);
        await expect(collect(run(model, path, { validationQuestions: [] }))).rejects.toThrow(
          /validationQuestions: .*got none/,
        );
        expect(existsSync(join(path, 'step-000001'))).toBe(false);
        const broken: Sampler<Action> = {
          ...(hard({ temperature: 1 }) as Sampler<Action>),
          logProb: (hidden) => tf.mul(tf.sum(hidden, -1), Number.NaN) as tf.Tensor2D,
        };
        const start = valuesOf(model);
        const tensors = tf.memory().numTensors;
        await expect(collect(run(model, path, { sampler: broken }))).rejects.toThrow(
          /finite gradients, got a norm of NaN/,
        );
        expect(valuesOf(model)).toEqual(start);
        expect(tf.memory().numTensors).toBe(tensors);
        model.dispose();
      });
    });

    describe('learning', () => {
      test.each<Mode>(['hard', 'soft', 'fuzzy'])('%s thoughts raise their reward', async (mode) => {
        const { first, last, accuracy } = await learn({
          sampler: samplerFor(`${mode}-sample`, 0.3),
          greedySampler: samplerFor(`${mode}-greedy`, 0.3),
        });
        // Each is a mean of 320 rewards whose standard deviation is at most a quarter: 0.2 is ten standard errors.
        expect(last - first).toBeGreaterThan(0.2);
        if (mode === 'hard') expect(accuracy).toBe(1);
      });

      test.each<[string, Placement]>([
        ['the hidden state', hiddenNoise],
        ['the logits', logitNoise],
        ['the three largest logits', topKNoise(3)],
      ])('soft thoughts with noise on %s do, too', async (_, placement) => {
        const sampler = samplerFor('soft-sample', 1, undefined, placement);
        const { first, last } = await learn({ sampler, steps: 30, samples: 16 });
        // Means of 160 rewards: 0.12 is four standard errors.
        expect(last - first).toBeGreaterThan(0.12);
      });

      test('a sampler and a reward of the user, in plain tfjs', async () => {
        // Tokens of two ids each: both drawn from the model, fed as the mean of their embeddings.
        const pair: Sampler<{ ids: tf.Tensor }> = {
          name: 'pair',
          step(hidden, model, noise) {
            const logits = model.head.logits(hidden) as tf.Tensor2D;
            const gumbel = tf.neg(tf.log(tf.neg(tf.log(tf.add(noise.uniform(2 * model.vocabSize), 1e-9)))));
            const both = tf.add(tf.reshape(gumbel, [-1, 2, model.vocabSize]), tf.expandDims(logits, 1));
            const ids = tf.cast(tf.argMax(both, -1), 'int32'); // [B, 2]
            const input = tf.mean(model.embed(ids), 1) as tf.Tensor2D;
            return { input, action: { ids }, shadow: tf.argMax(logits, -1).dataSync<'int32'>() };
          },
          inputs: ({ ids }, model) => tf.mean(model.embed(ids), 2) as tf.Tensor3D,
          logProb(hidden, model, { ids }) {
            const states = tf.tile(tf.expandDims(hidden, 2), [1, 1, 2, 1]);
            return tf.sum(model.head.logProb(states, ids, 1), 2) as tf.Tensor2D;
          },
        };
        /** Even digits, whatever the question. */
        const even: RewardFunction = (text) => {
          const correct = /[02468]/.test(text);
          return { reward: Number(correct), correct, boxed: true };
        };
        const { first, last } = await learn({ sampler: pair as Sampler<Action>, reward: even, maxAnswerTokens: 1 });
        expect(first).toBeLessThan(0.7);
        expect(last).toBeGreaterThan(0.95);
      });
    });
  },
  enginesUnderTest,
);

/** What a run of three steps gives: what was drawn, each step's numbers, and the parameters at the end. */
async function trained(mode: Mode) {
  const model = newModel();
  const given = {
    sampler: samplerFor(`${mode}-sample`, 0.3),
    greedySampler: samplerFor(`${mode}-greedy`, 0.3),
    steps: 3,
  };
  const steps = stepsOf(await collect(run(model, directory(), { ...given, maxGradientNorm: 1 })));
  const values = valuesOf(model);
  model.dispose();
  return {
    drawn: steps.flatMap(({ samples }) => samples.map(({ shadowIds, answerIds }) => [shadowIds, answerIds])),
    losses: steps.map(({ loss }) => loss),
    gradientNorms: steps.map(({ gradientNorm }) => gradientNorm),
    values,
  };
}

describe('the same seed on another engine', () => {
  const references = new Map<Mode, Awaited<ReturnType<typeof trained>>>();
  const modes: Mode[] = ['hard', 'soft', 'fuzzy'];
  beforeAll(async () => {
    await useEngine('cpu');
    for (const mode of modes) references.set(mode, await trained(mode));
  });

  const others = enginesUnderTest.filter((engine) => engine !== 'cpu');
  eachEngine(
    useEngine,
    () => {
      test.each(modes)(
        '%s: draws the same, and steps by the same losses and gradients to the same parameters',
        async (mode) => {
          const [got, want] = [await trained(mode), references.get(mode)!];
          expect(got.drawn).toEqual(want.drawn);
          expectClose(got.losses, want.losses, { rel: 1e-4 });
          expectClose(got.gradientNorms, want.gradientNorms, { rel: 1e-4 });
          for (const [name, values] of Object.entries(want.values)) {
            expectClose(got.values[name]!, values, { rel: 0, abs: 1e-5 });
          }
          // Against steps that are thousands of times as long.
          const start = newModel();
          const moved = Object.entries(valuesOf(start)).flatMap(([name, values]) =>
            Array.from(values, (x, i) => Math.abs(x - want.values[name]![i]!)),
          );
          expect(Math.max(...moved)).toBeGreaterThan(0.02);
          start.dispose();
        },
      );
    },
    others,
  );
});
