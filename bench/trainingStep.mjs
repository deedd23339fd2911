// One training step of the tiny architecture: rollout and update, on each engine in each mode. See README.md.
import { fork } from 'node:child_process';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { createCausalLM, initialWeights, llama, noiseScale } from '@soft-tokens/models';
import { disposeGradients, policyGradient } from '@soft-tokens/rl';
import { decode, samplerFor } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

const WORK = { prompts: 4, samples: 8, promptTokens: 32, thoughtTokens: 16, answerTokens: 4 };
const TOLERANCE = 1e-3; // relative, of the loss, between engines

const config = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 192,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 491,
  tie_word_embeddings: true,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
};

/** A text codec that never stops a thought or an answer early, so that every run does the same work. */
const text = { encode: () => [1, 2, 3], decode: () => '', endIds: [] };

/** In a process of its own: one step to warm up, then two timed. */
async function measure({ engine, mode }) {
  await useEngine(engine);
  const model = createCausalLM(llama, config, initialWeights(llama, config, 1));
  const sampler = samplerFor(`${mode}-sample`, noiseScale(model));
  const prompts = Array.from({ length: WORK.prompts }, (_, p) =>
    Array.from({ length: WORK.promptTokens }, (_, i) => (p * 31 + i * 7) % config.vocab_size),
  );
  const steps = [];
  for (let step = 0; step < 3; step++) {
    const started = performance.now();
    const sequences = await decode({
      model,
      sampler,
      text,
      prompts,
      samples: WORK.samples,
      maxThoughtTokens: WORK.thoughtTokens,
      maxAnswerTokens: WORK.answerTokens,
      answerTemperature: 1,
      seed: 1,
      step,
    });
    const rolledOut = performance.now();
    const { loss, gradients } = await policyGradient({
      model,
      sampler,
      parameters: model.parameters,
      sequences,
      advantages: sequences.map((_, i) => (i % 2 === 0 ? 1 : -0.5)),
      maxTokens: 16384,
    });
    const updated = performance.now();
    disposeGradients(gradients);
    steps.push({ loss, rollout: (rolledOut - started) / 1000, update: (updated - rolledOut) / 1000 });
  }
  return { losses: steps.map(({ loss }) => loss), timed: steps.slice(1) };
}

const inChild = (job) =>
  new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--child', JSON.stringify(job)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.on('message', resolve);
    child.on('exit', (code) => code !== 0 && reject(new Error(`${job.engine} ${job.mode}: exit code ${code}`)));
  });

const sorted = (values) => [...values].sort((a, b) => a - b);
const median = (values) => sorted(values)[Math.floor(values.length / 2)];
const spread = (values) =>
  `${median(values).toFixed(3)} (${sorted(values)[0].toFixed(3)} to ${sorted(values).at(-1).toFixed(3)})`;

async function main() {
  const { values } = parseArgs({
    options: {
      engines: { type: 'string', default: 'wasm,cpu' },
      modes: { type: 'string', default: 'hard,soft,fuzzy' },
      rounds: { type: 'string', default: '3' },
    },
  });
  const jobs = values.modes.split(',').flatMap((mode) => values.engines.split(',').map((engine) => ({ engine, mode })));
  const timings = new Map(jobs.map((job) => [job, { rollout: [], update: [] }]));

  for (let round = 0; round < Number(values.rounds); round++) {
    const losses = new Map();
    for (const job of round % 2 === 0 ? jobs : [...jobs].reverse()) {
      const result = await inChild(job);
      // The first step of each mode starts from the same weights and the same noise on every engine.
      const first = losses.get(job.mode) ?? result.losses[0];
      losses.set(job.mode, first);
      if (!(Math.abs(result.losses[0] - first) <= TOLERANCE * Math.abs(first))) {
        throw new Error(`${job.engine} ${job.mode}: expected a loss of ${first}, got ${result.losses[0]}`);
      }
      for (const { rollout, update } of result.timed) {
        timings.get(job).rollout.push(rollout);
        timings.get(job).update.push(update);
      }
    }
  }

  console.log(`${cpus()[0].model}, ${cpus().length} cores; Node ${process.version}; tfjs ${tf.version_core}`);
  console.log(`${JSON.stringify(WORK)}; seconds, median (min to max) of ${2 * Number(values.rounds)} steps`);
  for (const [{ engine, mode }, { rollout, update }] of timings) {
    console.log(`${engine.padEnd(16)} ${mode.padEnd(6)} rollout ${spread(rollout)}   update ${spread(update)}`);
  }
}

const child = process.argv.indexOf('--child');
if (child > 0) {
  process.send(await measure(JSON.parse(process.argv[child + 1])));
  process.disconnect();
} else {
  await main();
}
