import { readFileSync } from 'node:fs';
import { tinyModelDirectory } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, expect, test } from 'vitest';
import { trainSchema } from '../config/recipe.js';
import { temporaryFolder } from '../test/tools.js';
import { evaluateTask, type SubjectCache } from './evaluateTask.js';
import { layout } from './layout.js';

const folder = temporaryFolder();
afterAll(folder.remove);

test("tests at evaluate's noise, not at the noise of training", async () => {
  await useEngine('wasm');
  const solved = async (evaluate: object) => {
    const config = trainSchema.parse({
      model: tinyModelDirectory,
      data: { kind: 'arithmetic', levels: [2], test: 10 },
      noise: { factor: 100 },
      steps: 1,
      questionsPerStep: 1,
      samples: 2,
      caps: { thought: 32, answer: 6 },
      optimizer: { learningRate: 1 },
      evaluate: { samples: 2, ...evaluate },
    });
    const context = { config, directory: folder.path, signal: new AbortController().signal, emit: () => {} };
    const cache: SubjectCache = {};
    await evaluateTask(context, cache, 'base', 'soft-sample');
    cache.held?.subject.model.dispose();
    const result = JSON.parse(readFileSync(layout.evaluation(folder.path, 'base', 'soft-sample'), 'utf8'));
    return result.passAtK[0].value as number;
  };
  // The tiny model solves problems of two operations; under a hundred times its embeddings nothing can.
  expect(await solved({})).toBeGreaterThan(0.3);
  expect(await solved({ noise: { factor: 100 } })).toBeLessThan(0.3);
});
