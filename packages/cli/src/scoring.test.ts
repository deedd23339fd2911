import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CausalLM, loadModel } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { memory } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { createLineScorer } from './scoring.js';
import { fixtures, runInProcess } from './test/tools.js';

interface Expected {
  prefillIds: number[];
  prompts: Array<{ promptIds: number[] }>;
  rms: number;
  modes: Record<
    'hard' | 'soft' | 'fuzzy',
    {
      temperature: number;
      noiseScale: number;
      sigma: number;
      samples: Array<{
        prompt: number;
        thought: object;
        answerIds: number[];
        thoughtLogProb: number[];
        answerLogProb: number[];
      }>;
    }
  >;
}

const expectedOf = (name: string) =>
  JSON.parse(readFileSync(join(fixtures, name, 'expected.json'), 'utf8')) as Expected;

/** Lines of the format, and what PyTorch says of them in float64. */
function cases(expected: Expected) {
  return (['hard', 'soft', 'fuzzy'] as const).flatMap((name) => {
    const { temperature, noiseScale, samples } = expected.modes[name];
    return samples.map(({ prompt, thought, answerIds, thoughtLogProb, answerLogProb }) => ({
      line: {
        promptIds: expected.prompts[prompt]!.promptIds,
        thought,
        prefillIds: expected.prefillIds,
        answerIds,
        mode: { name, temperature, ...(name !== 'hard' && { noiseScale }) },
      },
      want: { thoughtLogProb, answerLogProb },
    }));
  });
}

function expectScores(got: { thoughtLogProb: number[]; answerLogProb: number[] }, want: typeof got): void {
  for (const key of ['thoughtLogProb', 'answerLogProb'] as const) {
    expect(got[key]).toHaveLength(want[key].length);
    const scale = Math.max(...want[key].map(Math.abs));
    for (const [t, value] of want[key].entries())
      expect(Math.abs(got[key][t]! - value)).toBeLessThanOrEqual(1e-4 * scale);
  }
}

beforeAll(() => useEngine('wasm'));

describe.each(readdirSync(fixtures))('%s', (name) => {
  test('agrees with PyTorch in every mode', async () => {
    const model = await loadModel(join(fixtures, name));
    const scoreLine = createLineScorer(model);
    const all = cases(expectedOf(name));
    expect(all.length).toBe(18);
    for (const { line, want } of all) expectScores(scoreLine(JSON.stringify(line), 1), want);
    model.dispose();
  });
});

describe('one model', () => {
  const name = readdirSync(fixtures)[0]!;
  const expected = expectedOf(name);
  const all = cases(expected);
  const soft = all.find(({ line }) => line.mode.name === 'soft')!;
  const hard = all.find(({ line }) => line.mode.name === 'hard')!;
  let scoreLine: ReturnType<typeof createLineScorer>;
  let model: CausalLM;
  beforeAll(async () => {
    model = await loadModel(join(fixtures, name));
    scoreLine = createLineScorer(model);
  });

  test('sigma can be said outright', () => {
    const { noiseScale: _, ...mode } = soft.line.mode as { noiseScale?: number; name: string };
    expectScores(
      scoreLine(JSON.stringify({ ...soft.line, mode: { ...mode, sigma: expected.modes.soft.sigma } }), 1),
      soft.want,
    );
  });

  test('without an answer only the thought is scored; nothing is left in memory', () => {
    const before = memory().numTensors;
    const got = scoreLine(JSON.stringify({ ...hard.line, answerIds: [] }), 1);
    expectScores({ ...got, answerLogProb: hard.want.answerLogProb }, hard.want);
    expect(got.answerLogProb).toEqual([]);
    expect(memory().numTensors).toBe(before);
  });

  test.each([
    ['{', /^line 7: JSON: expected an object/],
    [{ ...hard.line, promptIds: [] }, /^line 7: promptIds: /],
    [{ ...hard.line, promptIds: [9999] }, /^line 7: promptIds: expected ids below the vocabulary size \d+, got 9999/],
    [{ ...hard.line, thought: {} }, /^line 7: thought: expected \{"ids"/],
    [{ ...hard.line, mode: { name: 'hard', temperature: 0 } }, /^line 7: mode.temperature: .*got 0/],
    [
      { ...hard.line, mode: { name: 'soft', temperature: 1, noiseScale: 1 } },
      /^line 7: thought: expected embeddings in mode soft/,
    ],
    [{ ...soft.line, mode: { name: 'hard', temperature: 1 } }, /^line 7: thought: expected ids in mode hard/],
    [{ ...soft.line, mode: { name: 'soft', temperature: 1 } }, /^line 7: mode.noiseScale: expected a number > 0/],
    [{ ...soft.line, mode: { ...soft.line.mode, sigma: 1 } }, /^line 7: mode: expected noiseScale or sigma, got both/],
    [{ ...soft.line, thought: { embeddings: [[1, 2]] } }, /^line 7: thought.embeddings.0: expected \d+ numbers/],
    [{ ...hard.line, extra: 1 }, /^line 7: .*extra/],
  ])('%j is refused', (line, message) => {
    expect(() => scoreLine(typeof line === 'string' ? line : JSON.stringify(line), 7)).toThrow(message);
  });

  test('the command reads lines and writes lines; a bad one fails it', async () => {
    const directory = join(fixtures, name);
    const lines = [JSON.stringify(hard.line), '', JSON.stringify(soft.line)];
    const { code, out } = await runInProcess(['score', directory, '--engine', 'wasm'], lines);
    expect(code).toBe(0);
    const [first, second, ...rest] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expectScores(first, hard.want);
    expectScores(second, soft.want);
    expect(rest).toEqual([]);

    const bad = await runInProcess(['score', directory, '--engine', 'wasm'], [JSON.stringify(hard.line), 'x']);
    expect(bad.code).toBe(1);
    expect(bad.notes).toMatch(/^error: line 2: JSON/);
  });
});
