// What a run can be asked for beside what the paper does: other baselines, a penalty on leaving a reference, stopping early.
import { readdirSync } from 'node:fs';
import { type CausalLM, withLora } from '@soft-tokens/models';
import { samplerFor } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { aboutMean, standardized } from './advantages.js';
import { logRatios } from './gradients.js';
import type { KlPenalty } from './kl.js';
import type { RewardFunction } from './rewards.js';
import { checkpointOf, closeness, collect, newModel, run, stepsOf } from './test/run.js';
import { digitQuestions, temporaryDirectories, toyModel, valuesOf } from './test/toy.js';
import { type TrainEvent, type TrainOptions, train } from './train.js';

const directory = temporaryDirectories();

/** A run's events and the parameters that it ends with, from the usual model or another. */
async function trained(options: Partial<TrainOptions> = {}, model: CausalLM = newModel()) {
  const events = await collect(run(model, directory(), options));
  const values = valuesOf(model);
  model.dispose();
  return { events, values, steps: stepsOf(events) };
}

eachEngine(useEngine, () => {
  describe('advantages', () => {
    test('about the mean, the loss and its gradient are (G-1)/G of the usual ones', async () => {
      const [usual] = (await trained({ steps: 1 })).steps;
      const [about] = (await trained({ steps: 1, advantages: aboutMean })).steps;
      expectClose([about!.loss, about!.gradientNorm], [(7 / 8) * usual!.loss, (7 / 8) * usual!.gradientNorm]);
    });

    test('in standard deviations, the scale of the rewards does not count', async () => {
      const scaled: RewardFunction = (text, gold) => {
        const judged = closeness(text, gold);
        return { ...judged, reward: 100 * judged.reward };
      };
      const advantages = (rewards: readonly number[]) => standardized(rewards, 0);
      const [one] = (await trained({ steps: 1, advantages })).steps;
      const [other] = (await trained({ steps: 1, advantages, reward: scaled })).steps;
      expect(other!.reward).toBeCloseTo(100 * one!.reward, 5);
      expectClose([other!.loss, other!.gradientNorm], [one!.loss, one!.gradientNorm], { rel: 1e-4 });
    });
  });

  describe('kl', () => {
    const penalties: [string, Pick<KlPenalty, 'in' | 'estimator'>][] = [
      ['in the reward', { in: 'reward' }],
      ['in the loss', { in: 'loss', estimator: 'k2' }],
    ];

    test.each(penalties)('%s: nothing at the reference, and then it holds near to it', async (_, place) => {
      const [reference, other] = [newModel(), toyModel({ vocabSize: 13, seed: 7 })];
      const kl = (coefficient: number, to = reference) => ({ ...place, coefficient, reference: to }) as KlPenalty;
      const before = [valuesOf(reference), valuesOf(other)];
      const free = await trained();
      const loose = await trained({ kl: kl(1e-9) });
      const held = await trained({ kl: kl(5) });
      expect(free.steps[0]).not.toHaveProperty('kl', expect.anything());
      expect(held.steps[0]!.kl).toBe(0);
      expectClose([held.steps[0]!.loss], [free.steps[0]!.loss]);
      expect(held.steps[0]!.reward).toBe(free.steps[0]!.reward);
      const at = (steps: typeof free.steps) => steps.at(-1)!.kl!;
      expect(at(loose.steps)).toBeGreaterThan(0);
      expect(Math.abs(at(held.steps))).toBeLessThan(0.7 * at(loose.steps));
      const away = await trained({ kl: kl(5, other), steps: 1 });
      expect(away.steps[0]!.kl).toBeGreaterThan(0);
      expect(away.steps[0]!.loss).not.toBeCloseTo(free.steps[0]!.loss, 3);
      expect([valuesOf(reference), valuesOf(other)]).toEqual(before);
      reference.dispose();
      other.dispose();
    });

    test.each(penalties)('%s: a run that resumes ends as one that was not stopped, to the bit', async (_, place) => {
      const reference = newModel();
      const kl = { ...place, coefficient: 0.5, reference } as KlPenalty;
      const path = directory();
      const first = newModel();
      for await (const event of train(run(first, path, { kl }))) {
        if (event.type === 'step' && event.step === 5) break;
      }
      const second = toyModel({ vocabSize: 13, seed: 2 }); // of other weights: all are restored
      const tensors = tf.memory().numTensors;
      const resumed = stepsOf(await collect(run(second, path, { kl })));
      expect(tf.memory().numTensors).toBe(tensors);
      const whole = await trained({ kl });
      expect(resumed.map(({ loss, kl }) => [loss, kl])).toEqual(whole.steps.slice(3).map(({ loss, kl }) => [loss, kl]));
      expect(valuesOf(second)).toEqual(whole.values);
      for (const model of [reference, first, second]) model.dispose();
    });

    test('the base of adapters is a reference at no cost', async () => {
      const base = newModel();
      const model = withLora(base, { r: 2, alpha: 4, target: 'all-linear', seed: 1 });
      const kl: KlPenalty = { reference: base, coefficient: 1, in: 'reward' };
      const events = await collect(run(model, directory(), { kl, checkpoints: { ...noCheckpoints } }));
      const steps = stepsOf(events);
      expect(steps[0]!.kl).toBe(0);
      expect(steps.at(-1)!.kl).not.toBe(0);
      const { samples } = steps.at(-1)!;
      const sampler = samplerFor('soft-sample', 0.3);
      const nats = await logRatios({ model: base, reference: base, sampler, sequences: samples, maxTokens: 64 });
      expect(nats.every((x) => x === 0)).toBe(true);
      model.dispose();
      base.dispose();
    });
  });

  describe('stopWhen', () => {
    /** Validates with one of two questions right at some steps and none at others. */
    const judged = (accuracies: readonly number[]) => {
      let asked = 0;
      const reward: RewardFunction = (text, gold) =>
        gold === 'validate'
          ? { reward: 0, boxed: true, correct: accuracies[asked++ >> 1]! > (asked - 1) % 2 }
          : closeness(text, gold);
      return { reward, validationQuestions: digitQuestions('validate', 'validate'), validateEvery: 1, steps: 6 };
    };
    const brief = (events: TrainEvent[]) =>
      events.flatMap(({ type, step }) => (type === 'step' || type === 'resumed' ? [] : [`${type} ${step}`]));

    test('patience: so many validations on end without a better one; equal is not better', async () => {
      const path = directory();
      const model = newModel();
      // Before the first step 2, which does not count; then 1, 0, 2 (better), 2, 1: the fifth is the second in vain.
      const given = { ...judged([2, 1, 0, 2, 2, 1, 2]), stopWhen: { patience: 2 }, checkpointEvery: 4 };
      const events = await collect(run(model, path, given));
      expect(brief(events)).toEqual([
        'validation 0',
        'validation 1',
        'best 1',
        'validation 2',
        'validation 3',
        'best 3',
        'validation 4',
        'checkpoint 4',
        'validation 5',
        'checkpoint 5',
        'stopped 5',
      ]);
      expect(events.at(-1)).toEqual({ type: 'stopped', step: 5, best: { step: 3, accuracy: 1 } });
      expect(readdirSync(path).sort()).toEqual(['best', 'step-000005']);
      expect(stepsOf(events).map(({ learningRate }) => learningRate)).toEqual(
        [1, 2, 3, 4, 5].map(run(model, path).schedule),
      );
      // It stays stopped.
      const again = await collect(run(model, path, given));
      expect(again.map(({ type, step }) => `${type} ${step}`)).toEqual(['resumed 5', 'stopped 5']);
      model.dispose();
    });

    test('what was in vain before a checkpoint counts after it', async () => {
      const path = directory();
      const model = newModel();
      const options = { stopWhen: { patience: 3 }, checkpointEvery: 3 };
      for await (const event of train(run(model, path, { ...judged([0, 1, 0, 0, 0]), ...options }))) {
        if (event.type === 'checkpoint') break;
      }
      expect((await checkpointOf(path)).validationsSinceBest).toBe(2);
      const events = await collect(run(model, path, { ...judged([1, 2]), ...options }));
      expect(brief(events).at(-1)).toBe('stopped 4');
      model.dispose();
    });

    test('a run that its steps end is not stopped; a patience below 1 is refused', async () => {
      const model = newModel();
      const events = await collect(
        run(model, directory(), { ...judged([0, 1, 0, 0, 0, 0, 0]), stopWhen: { patience: 5 } }),
      );
      expect(brief(events).at(-1)).toBe('checkpoint 6');
      for (const patience of [0, Number.NaN]) {
        await expect(collect(run(model, directory(), { stopWhen: { patience } }))).rejects.toThrow(
          new RangeError(`train: expected a patience >= 1, got ${patience}`),
        );
      }
      model.dispose();
    });
  });
}, ['native', 'wasm']);

/** Adapters are saved by others. */
const noCheckpoints: TrainOptions['checkpoints'] = {
  save: async () => '',
  saveBest: async () => '',
  restore: async () => undefined,
};
