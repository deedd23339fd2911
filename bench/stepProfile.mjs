// Where the time of a training step goes on the native engine, kernel by kernel. See README.md.
import { parseArgs } from 'node:util';
import { createCausalLM, initialWeights, llama, noiseScale } from '@soft-tokens/models';
import { adamW, disposeGradients, policyGradient, updateParameters } from '@soft-tokens/rl';
import { decode, samplerFor } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { machine, table } from './lib/measure.mjs';
import { configOf, settings } from './lib/models.mjs';
import { publish } from './lib/sections.mjs';

/** tfjs's kernels, as parts of a step. What is in none is "elements": sums, casts, copies, products by factors. */
const parts = {
  'products with weights': ['Linear', 'LinearGrad'],
  'log-probabilities and mixtures': ['HeadLogProb', 'HeadLogProbGrad', 'HeadMixture', 'HeadMixtureGrad', 'BatchMatMul'],
  attention: ['Attention', 'AttentionGrad', 'PrefixAttention', 'PrefixAttentionGrad', 'CacheWrite'],
  'norms, rotary, SwiGLU': ['RmsNorm', 'RmsNormGrad', 'Rotary', 'RotaryGrad', 'SwiGlu', 'SwiGluGrad'],
  embedding: ['EmbeddingLookup', 'EmbeddingLookupGrad'],
  'norm of the gradient, AdamW': ['SumSquares', 'AdamW'],
  'drawing: softmax, sums, noise': ['Softmax', 'Cumsum', 'LessEqual', 'ArgMax', 'Max', 'NormalNoise', 'UniformNoise'],
};
const elements = 'elements: sums, copies, casts';
const partOf = new Map(Object.entries(parts).flatMap(([part, kernels]) => kernels.map((kernel) => [kernel, part])));
const outside = 'JavaScript between the kernels';

/** Kernels that only hand on the values of their input, under another shape or type: they compute nothing. */
const headersOnly = new Set(['Reshape', 'ExpandDims', 'Identity', 'Cast']);

/** Counts the time of every kernel of the engine; `inJavaScript` are those that reached tfjs's JavaScript kernels. */
function watch() {
  let times = new Map();
  let inJavaScript = new Map();
  const add = (map, key, ms) => map.set(key, (map.get(key) ?? 0) + ms);
  for (const [backend, note] of [
    ['cpu', (name, ms) => add(inJavaScript, name, ms)],
    ['native', (name, ms) => add(times, name, ms)],
  ]) {
    for (const kernel of tf.getKernelsForBackend(backend)) {
      const { kernelName, kernelFunc } = kernel;
      tf.unregisterKernel(kernelName, backend);
      tf.registerKernel({
        ...kernel,
        kernelFunc(call) {
          const started = performance.now();
          const result = kernelFunc(call);
          note(kernelName, performance.now() - started);
          return result;
        },
      });
    }
  }
  return () => {
    const seen = { times, inJavaScript };
    [times, inJavaScript] = [new Map(), new Map()];
    return seen;
  };
}

/** One step: what each half took, in ms, in all and by part. */
async function step({ model, sampler, optimizer, state, work, take }, number) {
  const halves = {};
  const half = async (name, run) => {
    take();
    const started = performance.now();
    const result = await run();
    const total = performance.now() - started;
    const { times, inJavaScript } = take();
    const byPart = new Map();
    for (const [kernel, ms] of times) {
      const part = partOf.get(kernel) ?? elements;
      byPart.set(part, (byPart.get(part) ?? 0) + ms);
    }
    byPart.set(outside, total - [...byPart.values()].reduce((sum, ms) => sum + ms, 0));
    halves[name] = { total, byPart, inJavaScript };
    return result;
  };
  const sequences = await half('rollout', () =>
    decode({
      model,
      sampler,
      text: { encode: () => [], decode: () => '', endIds: [] },
      format: { stopPhrase: '.', prefill: { stopped: '', capped: '' } },
      prompts: Array.from({ length: work.prompts }, (_, p) =>
        Array.from({ length: work.promptTokens }, (_, i) => (p * 7919 + i * 104_729) % model.vocabSize),
      ),
      samples: work.samples,
      maxThoughtTokens: work.thoughtTokens,
      maxAnswerTokens: work.answerTokens,
      answerTemperature: 1,
      seed: 1,
      step: number,
    }),
  );
  await half('update', async () => {
    const { parameters } = model;
    const advantages = sequences.map((_, n) => (n % 2 === 0 ? 1 : -1));
    const options = { model, sampler, parameters, sequences, advantages, maxTokens: 8192 };
    const { gradients } = await policyGradient(options);
    updateParameters({ optimizer, parameters, gradients, state, learningRate: 1e-6, maxGradientNorm: 1 });
    disposeGradients(gradients);
  });
  return halves;
}

async function main() {
  const { values } = parseArgs({
    options: {
      models: { type: 'string', default: settings.map(({ name }) => name).join() },
      mode: { type: 'string', default: 'soft' },
      steps: { type: 'string', default: '4' },
      write: { type: 'string' },
    },
  });
  await useEngine('native');
  const take = watch();
  const texts = [];
  for (const { name, sizes, work } of settings.filter((setting) => values.models.split(',').includes(setting.name))) {
    const config = configOf(sizes);
    const model = createCausalLM(llama, config, initialWeights(llama, config, 1));
    const sampler = samplerFor(`${values.mode}-sample`, noiseScale(model));
    const optimizer = adamW();
    const state = optimizer.init(model.parameters);
    let last;
    for (let number = 0; number <= Number(values.steps); number++) {
      last = await step({ model, sampler, optimizer, state, work, take }, number);
    }
    texts.push(describe(name, values.mode, last));
    model.dispose();
    tf.dispose([...state.tensors.values()]);
  }
  publish({ profile: [...texts, `${machine()}.`].join('\n\n') }, values.write);
}

function describe(name, mode, halves) {
  const { rollout, update } = halves;
  const cell = ({ total, byPart }, part) => {
    const ms = byPart.get(part) ?? 0;
    return `${ms.toFixed(0)} (${((100 * ms) / total).toFixed(0)} %)`;
  };
  const computed = [rollout, update].flatMap(({ inJavaScript }) =>
    [...inJavaScript.keys()].filter((k) => !headersOnly.has(k)),
  );
  return [
    table(
      [`${name}, ${mode}`, 'rollout, ms', 'update, ms'],
      [
        ...[...Object.keys(parts), elements, outside].map((part) => [part, cell(rollout, part), cell(update, part)]),
        ['all', rollout.total.toFixed(0), update.total.toFixed(0)],
      ],
    ),
    `Kernels that computed in JavaScript: ${computed.length === 0 ? 'none' : [...new Set(computed)].join(', ')}.`,
  ].join('\n\n');
}

await main();
