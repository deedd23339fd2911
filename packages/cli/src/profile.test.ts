import { entropy } from '@soft-tokens/metrics';
import { loadModelDirectory } from '@soft-tokens/models';
import { settingNames } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { createProfile, largestShares } from './profile.js';
import { temporaryFolder, writeRandomModel } from './test/tools.js';

test('the largest entries of a softmax', () => {
  // METHOD's worked step: z = [2, 1, 0] at τ = 0.5.
  const shares = largestShares([0, 2, 1], 0.5, 2);
  expect(shares.map(({ id }) => id)).toEqual([1, 2]);
  expect(shares[0]!.p).toBeCloseTo(0.866813, 6);
  expect(shares[1]!.p).toBeCloseTo(0.11731, 6);
  expect(largestShares([1, 1], 1, 5).map(({ id }) => id)).toEqual([0, 1]);
});

test('entropies of the first four samples of each question, and the steps of the first of a kept one', async () => {
  await useEngine('wasm');
  const folder = temporaryFolder();
  const { model, tokenizer } = await loadModelDirectory(await writeRandomModel(folder.path));
  const samples = 6;
  for (const setting of settingNames) {
    const profile = createProfile({ subject: { model, tokenizer }, setting, samples, keep: 1 });
    // Two questions; the second one's samples 4 and 5 are not measured. One sample ends before the second step.
    const states = tf.randomNormal([12, model.hiddenSize], 0, 3, 'float32', 1) as tf.Tensor2D;
    const ids = Int32Array.from({ length: 12 }, (_, i) => i);
    const step = (rows: number[]) =>
      profile.observe({ phase: 'thought', rows, ids: ids.slice(0, rows.length), hidden: tf.gather(states, rows) });
    const all = [...ids];
    tf.tidy(() => step(all));
    tf.tidy(() => step(all.filter((row) => row !== 7)));
    profile.observe({ phase: 'answer', rows: all, ids, hidden: states });

    const p = tf.tidy(() => tf.softmax(model.head.logits(states)).arraySync()) as number[][];
    const H = p.map(entropy);
    const sum = (rows: number[]) => rows.reduce((total, row) => total + H[row]!, 0);
    const first = profile.entropy(0);
    expect(first.count).toEqual([4, 4]);
    expect(first.sum[0]).toBeCloseTo(sum([0, 1, 2, 3]), 4);
    const second = profile.entropy(1);
    expect(second.count).toEqual([4, 3]);
    expect(second.sum[1]).toBeCloseTo(sum([6, 8, 9]), 4);
    expect(profile.steps(1)).toBeUndefined();
    const steps = profile.steps(0)!;
    expect(steps).toHaveLength(2);
    expect(steps[0]!.entropy).toBeCloseTo(H[0]!, 4);
    expect(steps[0]!.top[0]!.token).toBe(tokenizer.decode([p[0]!.indexOf(Math.max(...p[0]!))]));
    if (setting.startsWith('hard')) expect(steps[0]!.top[0]!.p).toBeCloseTo(Math.max(...p[0]!), 5);
    if (setting.startsWith('fuzzy')) expect(steps[0]!.top[0]!.p).toBeCloseTo(1, 5);
    states.dispose();
  }
  model.dispose();
  folder.remove();
});
