// How much of a policy gradient is signal: the mean cosine between gradients of independent batches at fixed weights.
//
// For gradients g_i = s + n_i with independent noise n_i, E[g_i · g_j] = ‖s‖², so mean cosine ≈ ‖s‖² / E‖g‖²: the share
// of a batch's squared gradient that is the true one. See README.md.
import { parseArgs } from 'node:util';
import { arithmetic, plainPrompt } from '@soft-tokens/datasets';
import { loadModelDirectory, noiseScale, tinyModelDirectory } from '@soft-tokens/models';
import { boxedReward, disposeGradients, groupAdvantages, policyGradient, rollout } from '@soft-tokens/rl';
import { samplerFor } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';

const { values } = parseArgs({
  options: {
    mode: { type: 'string', default: 'soft' },
    noise: { type: 'string', default: '0.33' },
    temperature: { type: 'string' },
    levels: { type: 'string', default: '1,2' },
    batches: { type: 'string', default: '16' },
    'max-norm': { type: 'string', default: 'Infinity' },
  },
});
const [B, G] = [8, 16];
const batches = Number(values.batches);
const levels = values.levels.split(',').map(Number);

await useEngine('auto');
const { model, tokenizer: text } = await loadModelDirectory(tinyModelDirectory);
const sigma = noiseScale(model, Number(values.noise));
const sampler = samplerFor(`${values.mode}-sample`, sigma, values.temperature && Number(values.temperature));
const questions = arithmetic({ split: 'train', count: B * batches, seed: 2, levels }).map((problem) => ({
  id: problem.id,
  promptIds: text.encode(plainPrompt(problem.question)),
  answer: problem.answer,
}));

/** One batch's gradient, by parameter, scaled down to the largest norm allowed. */
async function gradientOf(step) {
  const samples = await rollout({
    model,
    sampler,
    text,
    questions: questions.slice(step * B, (step + 1) * B),
    samples: G,
    reward: boxedReward(),
    maxThoughtTokens: 48,
    maxAnswerTokens: 6,
    answerTemperature: 1,
    seed: 1,
    step,
  });
  const { gradients } = await policyGradient({
    model,
    sampler,
    parameters: model.parameters,
    sequences: samples,
    advantages: groupAdvantages(samples, G),
    maxTokens: 8192,
  });
  const arrays = new Map(Array.from(gradients, ([name, gradient]) => [name, gradient.dataSync()]));
  disposeGradients(gradients);
  const norm = Math.sqrt(dot(arrays, arrays, () => true));
  const factor = Math.min(1, Number(values['max-norm']) / norm);
  for (const [name, array] of arrays)
    arrays.set(
      name,
      Float32Array.from(array, (x) => x * factor),
    );
  return { arrays, norm };
}

function dot(a, b, included) {
  let sum = 0;
  for (const [name, x] of a) {
    if (!included(name)) continue;
    const y = b.get(name);
    for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  }
  return sum;
}

function report(label, included) {
  let [squares, products, pairs] = [0, 0, 0];
  gradients.forEach((a, i) => {
    squares += dot(a.arrays, a.arrays, included) / batches;
    for (const b of gradients.slice(0, i)) {
      products += dot(a.arrays, b.arrays, included);
      pairs++;
    }
  });
  const cosine = products / pairs / squares;
  console.log(
    `  ${label.padEnd(22)} rms norm ${Math.sqrt(squares).toFixed(0).padStart(8)}   cosine ${cosine.toFixed(4)}`,
  );
}

const gradients = [];
for (let step = 0; step < batches; step++) gradients.push(await gradientOf(step));
const norms = gradients.map(({ norm }) => norm).sort((a, b) => a - b);
console.log(
  `${values.mode}, noise ${values.noise}, temperature ${values.temperature ?? "the setting's"}, levels ${levels}; ` +
    `${batches} batches of ${B} x ${G}, clipped at ${values['max-norm']}`,
);
console.log(`  norm before clipping: median ${norms[batches >> 1].toFixed(0)}, largest ${norms.at(-1).toFixed(0)}`);
report('all parameters', () => true);
report('input embedding', (name) => name.includes('embed_tokens'));
report('all but the embedding', (name) => !name.includes('embed_tokens'));
