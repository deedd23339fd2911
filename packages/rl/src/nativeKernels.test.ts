// On the engine `native` everything that a training step computes has a C++ kernel; tfjs's JavaScript kernels hand tensors on.
import { type Action, fuzzy, hard, type Sampler, soft } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { disposeGradients, policyGradient } from './gradients.js';
import { adamW, disposeState } from './optimizers.js';
import { rollout } from './rollout.js';
import { type Demonstration, sft } from './sft.js';
import { digitFormat, digitQuestions, digits, toyModel } from './test/toy.js';
import { updateParameters } from './update.js';

const samplers: Record<string, Sampler<Action>> = {
  hard: hard({ temperature: 0.8 }) as Sampler<Action>,
  soft: soft({ temperature: 0.5, noiseScale: 0.4 }) as Sampler<Action>,
  fuzzy: fuzzy({ temperature: 0.1, noiseScale: 0.4 }) as Sampler<Action>,
};

/** Kernels that make no new values: they hand the same ones on under another shape or a wider type. */
const headersOnly = ['Cast', 'ExpandDims', 'Identity'];

/** A name for what a call computes: a cast that has to change the values is told from one that changes the type alone. */
function nameOf(kernelName: string, { inputs, attrs }: KernelCall): string {
  if (kernelName !== 'Cast') return kernelName;
  const [from, to] = [(inputs.x as tf.TensorInfo).dtype, attrs!.dtype as tf.DataType];
  const relabels = from !== 'complex64' && to !== 'complex64' && !tf.util.hasEncodingLoss(from, to);
  return relabels ? 'Cast' : `Cast ${from} -> ${to}`;
}

type KernelCall = Parameters<tf.KernelFunc>[0];

eachEngine(useEngine, () => {
  const calls: Record<string, number> = {};

  beforeEach(() => {
    for (const name of Object.keys(calls)) delete calls[name];
    const ofTfjs = tf.getKernelsForBackend('cpu');
    const functions = new Set(ofTfjs.map(({ kernelFunc }) => kernelFunc));
    // Those that the engine took over as they are, and those that its own kernels leave some calls to.
    const takenOver = tf.getKernelsForBackend('native').filter(({ kernelFunc }) => functions.has(kernelFunc));
    for (const kernel of [...ofTfjs, ...takenOver]) {
      const { kernelName, kernelFunc } = kernel;
      vi.spyOn(kernel, 'kernelFunc').mockImplementation((call) => {
        const name = nameOf(kernelName, call);
        calls[name] = (calls[name] ?? 0) + 1;
        return kernelFunc(call);
      });
    }
  });
  afterEach(() => vi.restoreAllMocks());

  function expectNoJavaScript(): void {
    expect(Object.keys(calls).filter((name) => !headersOnly.includes(name))).toEqual([]);
    expect(calls.Identity).toBeGreaterThan(0); // or nothing was watched
  }

  test.each(Object.entries(samplers))('a policy-gradient step, %s', async (mode, sampler) => {
    const model = toyModel({ vocabSize: digits.vocabSize });
    const { parameters } = model;
    const sequences = await rollout({
      model,
      sampler,
      text: digits,
      format: digitFormat,
      reward: () => ({ reward: 0, correct: false, boxed: false }),
      questions: digitQuestions('3', '14', '159'),
      samples: 5,
      maxThoughtTokens: 9,
      maxAnswerTokens: 3,
      answerTemperature: 0.7,
      seed: 7,
    });
    const advantages = sequences.map((_, n) => (n % 2 === 0 ? 1 : -0.5));
    const { gradients } = await policyGradient({
      model,
      sampler,
      parameters,
      sequences,
      advantages,
      maxTokens: 60,
      recompute: mode !== 'hard',
    });
    const optimizer = adamW();
    const state = optimizer.init(parameters);
    updateParameters({ optimizer, parameters, gradients, state, learningRate: 1e-3, maxGradientNorm: 0.01 });
    expectNoJavaScript();
    disposeGradients(gradients);
    disposeState(state);
    model.dispose();
  });

  test('a supervised step with noise', async () => {
    const model = toyModel({ vocabSize: digits.vocabSize });
    const demonstrations: Demonstration[] = [
      { promptIds: [1], thoughtIds: [2, 3, 10], answerIds: [11, 4, 12] },
      { promptIds: [5, 6], thoughtIds: [7, 8, 9, 10], answerIds: [11, 0, 1, 12] },
    ];
    const training = sft({
      model,
      demonstrations,
      optimizer: adamW(),
      schedule: () => 1e-3,
      steps: 2,
      batchSize: 2,
      maxNoiseScale: () => 0.1,
      maxGradientNorm: 0.01,
      maxTokens: 10,
      checkpointEvery: 2,
      checkpoints: { restore: async () => undefined, save: async () => '', saveBest: async () => '' },
      seed: 1,
    });
    for await (const event of training) expect(event.type).toMatch(/step|checkpoint/);
    expectNoJavaScript();
    model.dispose();
  });
}, ['native']);
