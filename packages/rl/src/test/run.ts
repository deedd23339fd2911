// A training run of the toy model that takes a second, for the tests of the trainer.
import { type CausalLM, saveModel } from '@soft-tokens/models';
import { samplerFor } from '@soft-tokens/samplers';
import * as tf from '@tensorflow/tfjs-core';
import { checkpointStore } from '../checkpoint.js';
import { adamW } from '../optimizers.js';
import type { RewardFunction } from '../rewards.js';
import { warmupCosine } from '../schedules.js';
import { type StepEvent, type TrainEvent, type TrainOptions, train } from '../train.js';
import { digitFormat, digitQuestions, digits, toyModel, valuesOf } from './toy.js';

/** How near the answered digit is to the right one, 0 to 1. */
export const closeness: RewardFunction = (text, gold) => {
  const digit = /\d/.exec(text)?.[0];
  const reward = digit === undefined ? 0 : 1 - Math.abs(Number(digit) - Number(gold)) / 9;
  return { reward, correct: reward === 1, boxed: digit !== undefined };
};

const store = (model: CausalLM, path: string) => checkpointStore(path, (dir) => saveModel(model, dir));

/** A run of few steps on two questions. */
export function run(model: CausalLM, path: string, options: Partial<TrainOptions> = {}): TrainOptions {
  return {
    model,
    text: digits,
    sampler: samplerFor('soft-sample', 0.3),
    greedySampler: samplerFor('soft-greedy', 0.3),
    trainQuestions: digitQuestions('7', '2', '5'),
    validationQuestions: digitQuestions('7', '2'),
    reward: closeness,
    optimizer: adamW(),
    schedule: warmupCosine({ peak: 0.02, warmup: 2, total: 6 }),
    steps: 6,
    questionsPerStep: 2,
    samples: 8,
    maxThoughtTokens: 3,
    maxAnswerTokens: 2,
    answerTemperature: 1,
    format: digitFormat,
    maxTokens: 64,
    validateEvery: 2,
    checkpointEvery: 3,
    checkpoints: store(model, path),
    seed: 1,
    ...options,
  };
}

export async function collect(options: TrainOptions): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(options)) events.push(event);
  return events;
}

export const stepsOf = (events: TrainEvent[]) => events.filter((event): event is StepEvent => event.type === 'step');
/** The model that runs start from. */
export const newModel = () => toyModel({ vocabSize: digits.vocabSize });

/** The values of a run's newest checkpoint: model and optimiser, and its counters. */
export async function checkpointOf(path: string) {
  const model = newModel();
  const state = (await store(model, path).restore(model.parameters))!;
  const optimizer = Array.from(state.optimizer.tensors, ([name, x]) => [name, x.dataSync<'float32'>().slice()]);
  tf.dispose([...state.optimizer.tensors.values()]);
  const values = valuesOf(model);
  model.dispose();
  return {
    step: state.step,
    count: state.optimizer.count,
    best: state.best,
    validationsSinceBest: state.validationsSinceBest,
    optimizer: Object.fromEntries(optimizer),
    values,
  };
}
