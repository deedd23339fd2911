import { useEngine } from '@soft-tokens/tensor';
import { readReadme, tinyCodec, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import type { Sampler } from './contract.js';
import * as exports from './index.js';

const readme = await readReadme(import.meta.url);

test('the example runs and prints what its comments say', async () => {
  expect(readme.promised.length).toBeGreaterThan(0);
  expect((await readme.run()).map(([value]) => JSON.stringify(value))).toEqual(readme.promised);
});

test('the sampler of one’s own decodes and scores', async () => {
  await useEngine('cpu');
  const source = /const gumbelSoftmax = (.*?);\n```/s.exec(readme.text)![1]!;
  const make = new Function('tf', `return ${source}`)(tf) as (temperature: number) => Sampler<never>;
  const text = tinyCodec();
  const model = tinyModel({ vocabSize: text.vocabSize, hiddenSize: 4, seed: 1 });
  const [completion] = await exports.decode({
    model,
    text,
    sampler: make(0.5),
    prompts: [text.encode('2+2?')],
    maxThoughtTokens: 5,
    maxAnswerTokens: 2,
    answerTemperature: 0,
    seed: 0,
  });
  const { input, scores } = completion!.action;
  expect([input!.shape, scores!.shape]).toEqual([
    [5, 4],
    [5, text.vocabSize],
  ]);
  // METHOD E5: p = [.7, .2, .1], g = [.3, -.2, .1]; the terms sum to -3.0670583969
  const p = [0.7, 0.2, 0.1].map(Math.log);
  const action = { scores: tf.tensor3d([[[p[0]! + 0.3, p[1]! - 0.2, p[2]! + 0.1]]]) } as never;
  const head = { logits: (hidden: tf.Tensor) => hidden };
  const score = make(0.5).logProb(tf.tensor3d([[p]]), { head } as never, action);
  expect(score.shape).toEqual([1, 1]);
  expect(score.dataSync()[0]).toBeCloseTo(-3.0670583969, 5);
});

test('the list of exports is complete', () => {
  expect(readme.listed).toEqual(Object.keys(exports).sort());
});
