// Whole training steps against PyTorch's, and against the engine `wasm`. See README.md.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCausalLM, initialWeights, llama, loadModel, noiseScale, saveModel } from '@soft-tokens/models';
import { disposeGradients, policyGradient } from '@soft-tokens/rl';
import { decode, samplerFor } from '@soft-tokens/samplers';
import { globalNorm, useEngine } from '@soft-tokens/tensor';
import { alternate, json, machine, median, spread, table } from './lib/measure.mjs';
import { configOf, settings } from './lib/models.mjs';
import { publish } from './lib/sections.mjs';

const TEMPERATURE = { hard: 1, soft: 0.5, fuzzy: 1e-4 };
const MODES = Object.keys(TEMPERATURE);
/**
 * Relative, of a loss and of a gradient's norm. At the temperature of fuzzy tokens the rounding of a logit comes back ten
 * thousand times as large, in theirs as in ours.
 */
const TOLERANCE = { hard: 1e-3, soft: 1e-3, fuzzy: 5e-2 };
const SEED = 1;

/** `wasm` has no memory for the larger model: one with fewer layers and ids stands for it there. */
const forWasm = {
  ...settings[1],
  name: '31 M',
  sizes: 'hidden=576,layers=6,heads=9,kv=3,intermediate=1536,vocab=16384',
};

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const cli = here('../packages/cli/bin/soft-tokens.js');
const stepScript = here('pytorch/step.py');

/** In a process of its own: random weights as a model directory. */
async function makeModel({ sizes, directory }) {
  await useEngine('native');
  const config = configOf(sizes);
  await saveModel(createCausalLM(llama, config, initialWeights(llama, config, SEED)), directory);
  return {};
}

/** In a process of its own: sequences drawn from the model, their loss, and the norm of its gradient. */
async function draw({ directory, mode, work, prompts, advantages }) {
  await useEngine('native');
  const model = await loadModel(directory);
  const sigma = noiseScale(model);
  const sampler = samplerFor(`${mode}-sample`, sigma);
  const sequences = await decode({
    model,
    sampler,
    text: { encode: () => [], decode: () => '', endIds: [] },
    format: { stopPhrase: '.', prefill: { stopped: '', capped: '' } },
    prompts,
    samples: work.samples,
    maxThoughtTokens: work.thoughtTokens,
    maxAnswerTokens: work.answerTokens,
    answerTemperature: 1,
    seed: SEED,
    step: 0,
  });
  const { parameters } = model;
  const { loss, gradients } = await policyGradient({
    model,
    sampler,
    parameters,
    sequences,
    advantages,
    maxTokens: 8192,
  });
  const norm = globalNorm([...gradients.values()]);
  disposeGradients(gradients);
  return {
    sigma,
    loss,
    norm,
    sequences: sequences.map(({ action, answerIds }) => ({ thought: rows(action), answerIds })),
  };
}

/** Ids, or a list of vectors. */
function rows({ ids, input }) {
  if (ids) return [...ids.values];
  const [T, d] = input.shape;
  return Array.from({ length: T }, (_, t) => [...input.values.subarray(t * d, (t + 1) * d)]);
}

const child = (job, env) => json(process.execPath, [import.meta.filename, '--child', JSON.stringify(job)], env);

/** Everything that is to be timed, once its results agree with PyTorch's: jobs of one model and mode. */
async function prepare({ name, sizes, work, steps }, mode, { folder, python, env, threads }) {
  const directory = join(folder, name.replace(' ', ''));
  const V = configOf(sizes).vocab_size;
  const prompts = Array.from({ length: work.prompts }, (_, p) =>
    Array.from({ length: work.promptTokens }, (_, i) => (p * 7919 + i * 104_729) % V),
  );
  const count = work.prompts * work.samples;
  // All of one sign: or the loss is a small difference of large sums, and tells little.
  const advantages = Array.from({ length: count }, (_, n) => 1 + (n % 3));
  const ours = await child({ directory, mode, work, prompts, advantages }, env);
  const job = { model: directory, mode, temperature: TEMPERATURE[mode], sigma: ours.sigma, prompts, ...work, threads };
  const file = join(folder, 'job.json');
  writeFileSync(file, JSON.stringify({ ...job, prompts, advantages, sequences: ours.sequences, steps: 0 }));
  const { check } = await json(python, [stepScript, file], env);
  for (const what of ['loss', 'norm']) {
    if (!(Math.abs(ours[what] - check[what]) <= TOLERANCE[mode] * Math.abs(check[what]))) {
      throw new Error(`${name} ${mode}: expected a ${what} of ${check[what]} as PyTorch's, got ${ours[what]}`);
    }
  }
  const timed = join(folder, `${name.replace(' ', '')}-${mode}.json`);
  const alternating = Array.from({ length: count }, (_, n) => (n % 2 === 0 ? 1 : -1));
  writeFileSync(timed, JSON.stringify({ ...job, prompts, advantages: alternating, steps: steps.theirs }));
  const run = {
    ours: () => time('native', ['--model', directory], mode, work, steps.ours, env),
    pytorch: () => json(python, [stepScript, timed], env),
  };
  return { name, mode, run };
}

const dashed = (word) => word.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `soft-tokens bench` in a process of its own. */
function time(engine, model, mode, work, steps, env) {
  const flags = Object.entries({ ...work, steps, mode, engine }).flatMap(([key, value]) => [
    `--${dashed(key)}`,
    String(value),
  ]);
  return json(process.execPath, [cli, 'bench', ...model, ...flags, '--json'], env);
}

const stepsOf = ({ rollout_s, update_s, steps }) => ({
  rollout: steps ? steps.map((step) => step.rollout_s) : rollout_s,
  update: steps ? steps.map((step) => step.update_s) : update_s,
});

/** Medians of all steps of all rounds, and the most memory. */
function summary(results) {
  const all = results.map(stepsOf);
  const rollout = all.flatMap((result) => result.rollout);
  const update = all.flatMap((result) => result.update);
  const step = rollout.map((seconds, i) => seconds + update[i]);
  return { rollout, update, step, memory: Math.max(...results.map(({ peak_rss_mb }) => peak_rss_mb)) };
}

async function againstPyTorch(values, env, threads) {
  const folder = mkdtempSync(join(tmpdir(), 'soft-tokens-bench-'));
  const lines = [];
  const shares = [];
  let version = '';
  try {
    for (const setting of settings.filter(({ name }) => values.models.split(',').includes(name))) {
      await child({ make: true, sizes: setting.sizes, directory: join(folder, setting.name.replace(' ', '')) }, env);
      for (const mode of values.modes.split(',')) {
        const { run } = await prepare(setting, mode, { folder, python: values.python, env, threads });
        const results = await alternate(['ours', 'pytorch'], Number(values.rounds ?? setting.rounds), (who) =>
          run[who](),
        );
        const [ours, theirs] = [summary(results.get('ours')), summary(results.get('pytorch'))];
        const [{ flops_per_step: flops }] = results.get('ours');
        const peak_gflops = Math.max(...results.get('ours').map((result) => result.peak_gflops)); // one may have been held up
        version = results.get('pytorch')[0].version;
        lines.push([
          setting.name,
          mode,
          ...['rollout', 'update', 'step'].flatMap((half) => [spread(ours[half]), spread(theirs[half])]),
          `${(median(theirs.step) / median(ours.step)).toFixed(1)} ×`,
          `${ours.memory.toFixed(0)} / ${theirs.memory.toFixed(0)} = ${(ours.memory / theirs.memory).toFixed(2)}`,
        ]);
        // Of the products with weights a quarter is the rollout's: stepFlops in packages/cli/src/flops.ts.
        const share = (0.75 * flops) / median(ours.update) / (peak_gflops * 1e9);
        shares.push({ name: setting.name, mode, share, step: median(ours.step) });
        console.error(lines.at(-1).join('  '));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const shareLines = shares.map(({ name, mode, share, step }) => {
    const hard = shares.find((other) => other.name === name && other.mode === 'hard')?.step;
    return [name, mode, `${(100 * share).toFixed(0)} %`, hard ? (step / hard).toFixed(2) : ''];
  });
  return [
    table(
      [
        ...[
          'model',
          'mode',
          'rollout, s: ours',
          "PyTorch's",
          'update, s: ours',
          "PyTorch's",
          'step, s: ours',
          "PyTorch's",
        ],
        ...['faster', 'peak memory, MiB'],
      ],
      lines,
    ),
    table(
      ['model', 'mode', "the update's arithmetic, of the product kernel's rate", 'step, times a hard one'],
      shareLines,
    ),
    `${machine()}; PyTorch ${version}; ${threads} threads each; median (least to most) of all steps of ` +
      `${described(values)} processes each, alternating; a step to warm up in each.`,
  ].join('\n\n');
}

/** How many processes a model had. */
const described = ({ rounds }) =>
  rounds ?? settings.map((setting) => `${setting.rounds} (${setting.name})`).join(' and ');

async function againstWasm(values, env) {
  const { name, sizes, work } = forWasm;
  const lines = [];
  for (const mode of values.modes.split(',')) {
    const results = await alternate(['native', 'wasm'], Number(values.rounds ?? 1), (engine) =>
      time(engine, ['--random', `llama:${sizes}`], mode, work, 1, env),
    );
    const [native, wasm] = [summary(results.get('native')), summary(results.get('wasm'))];
    const ratio = median(wasm.step) / median(native.step);
    lines.push([name, mode, spread(native.step), spread(wasm.step), `${ratio.toFixed(1)} ×`]);
    console.error(lines.at(-1).join('  '));
  }
  return `${table(['model', 'mode', 'step, s: native', 'wasm', 'faster'], lines)}\n\n${machine()}; \`llama:${sizes}\`.`;
}

async function main() {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: 'python3' },
      rounds: { type: 'string' },
      models: { type: 'string', default: settings.map(({ name }) => name).join() },
      modes: { type: 'string', default: MODES.join() },
      threads: { type: 'string', default: String(availableParallelism()) },
      against: { type: 'string', default: 'pytorch,wasm' },
      write: { type: 'string' },
    },
  });
  const { threads } = values;
  const env = { SOFT_TOKENS_THREADS: threads, OMP_NUM_THREADS: threads, OPENBLAS_NUM_THREADS: threads };
  const against = values.against.split(',');
  const sections = {};
  if (against.includes('pytorch')) sections.steps = await againstPyTorch(values, env, Number(threads));
  if (against.includes('wasm')) sections.wasm = await againstWasm(values, env);
  publish(sections, values.write);
}

if (process.argv[2] === '--child') {
  const job = JSON.parse(process.argv[3]);
  console.log(JSON.stringify(job.make ? await makeModel(job) : await draw(job)));
} else {
  await main();
}
