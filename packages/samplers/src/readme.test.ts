import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { useEngine } from '@soft-tokens/tensor';
import { tinyCodec, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test, vi } from 'vitest';
import type { Sampler } from './contract.js';
import * as exports from './index.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

test('the example runs and prints what its comments say', async () => {
  const source = /```ts\n(.*?)```/s.exec(readme)![1]!;
  // Outside the sources, and where its imports resolve.
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url));
  const file = join(cache, 'readme-example.ts');
  mkdirSync(cache, { recursive: true });
  writeFileSync(file, source.replace("'@soft-tokens/samplers'", "'../../src/index.js'"));
  const print = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    const printed = print.mock.calls.map(([value]) => JSON.stringify(value));
    const promised = [...source.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, comment]) => comment);
    expect(promised.length).toBeGreaterThan(0);
    expect(printed).toEqual(promised);
  } finally {
    print.mockRestore();
    rmSync(file, { force: true });
  }
});

test('the sampler of one’s own decodes and scores', async () => {
  await useEngine('cpu');
  const source = /const gumbelSoftmax = (.*?);\n```/s.exec(readme)![1]!;
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
  const listed = [...readme.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(Object.keys(exports).sort());
});
