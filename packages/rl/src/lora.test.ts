// Training adapters: what moves, what is kept, and what a checkpoint of it goes on from.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type LoraModel, loadAdapter, saveAdapter, withLora } from '@soft-tokens/models';
import { samplerFor } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { checkpointStore } from './checkpoint.js';
import { adamW } from './optimizers.js';
import { digitFormat, digitQuestions, digits, temporaryDirectories, toyModel, valuesOf } from './test/toy.js';
import { type TrainEvent, type TrainOptions, train } from './train.js';

const directory = temporaryDirectories();

const newModel = (seed = 1) =>
  withLora(toyModel({ vocabSize: digits.vocabSize }), { r: 2, alpha: 8, target: ['q_proj', 'down_proj'], seed });

/** Four steps, a checkpoint every other. */
const run = (model: LoraModel, path: string): TrainOptions => ({
  model,
  text: digits,
  sampler: samplerFor('soft-sample', 0.3),
  greedySampler: samplerFor('soft-greedy', 0.3),
  trainQuestions: digitQuestions('7', '2', '5'),
  validationQuestions: digitQuestions('7', '2'),
  reward: (text, gold) => ({
    reward: text.includes(gold) ? 1 : text.length / 10,
    correct: text.includes(gold),
    boxed: true,
  }),
  optimizer: adamW(),
  schedule: () => 0.05,
  steps: 4,
  questionsPerStep: 2,
  samples: 8,
  maxThoughtTokens: 3,
  maxAnswerTokens: 2,
  answerTemperature: 1,
  format: digitFormat,
  maxTokens: 64,
  recompute: true,
  validateEvery: 2,
  checkpointEvery: 2,
  checkpoints: checkpointStore(path, (into) => saveAdapter(model, into, { base: '/toy' }), {
    weights: 'adapter_model.safetensors',
  }),
  seed: 1,
});

function dispose(model: LoraModel): void {
  model.dispose();
  model.base.dispose();
}

eachEngine(
  useEngine,
  () => {
    test('training moves every adapter and no bit of the base; a checkpoint holds adapters alone, and is gone on from exactly', async () => {
      const { numTensors } = tf.memory();
      const [whole, parted] = [directory(), directory()];
      const model = newModel();
      const [before, base] = [valuesOf(model), valuesOf(model.base)];
      for await (const _ of train(run(model, whole)));
      const after = valuesOf(model);
      expect(valuesOf(model.base)).toEqual(base);
      for (const name of Object.keys(before)) expect(after[name], name).not.toEqual(before[name]);

      const files = readdirSync(join(whole, 'step-000004')).sort();
      expect(files).toEqual([
        ...['adapter_config.json', 'adapter_model.safetensors', 'optimizer.safetensors', 'trainer.json'],
      ]);
      const saved = await loadAdapter(model.base, join(whole, 'step-000004'));
      expect(valuesOf(saved)).toEqual(after);
      saved.dispose();

      const first = newModel();
      const events: TrainEvent['type'][] = [];
      for await (const event of train(run(first, parted))) if (event.type === 'checkpoint') break;
      dispose(first);
      const second = newModel(2); // what it begins as does not matter
      for await (const event of train(run(second, parted))) events.push(event.type);
      expect(events[0]).toBe('resumed');
      expect(valuesOf(second)).toEqual(after);
      dispose(second);
      dispose(model);
      expect(tf.memory().numTensors).toBe(numTensors);
    });
  },
  enginesUnderTest,
);
