// A model of ours against llama.cpp with a GGUF file: ids of prompts, greedy text, the likelihood of a fixed text.
//
//   npm install --prefix DIRECTORY node-llama-cpp@3.22.1
//   node bench/llamaCpp.mjs MODEL FILE.gguf --llama-cpp DIRECTORY [--tokens 64] [--same-values F32.gguf] [--tolerance 0.02]
//
// MODEL is a model directory or a .gguf file, FILE itself included. Where greedy texts part, the two tokens'
// log-probabilities are compared on both sides: rounding may turn a near-tie, nothing more. llama.cpp rounds what it
// multiplies quantised weights with to 8 bits; how much that is of the difference tells --same-values: a file with FILE's
// values written out in F32 (`soft-tokens export FILE.gguf --format gguf --dtype F32`), with which it does not. Exit code 1
// where ids differ, or where texts part by more than the tolerance, in nats, from what llama.cpp gives for FILE or, where
// given, for the same values in F32.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { plainPrompt } from '@soft-tokens/datasets';
import { loadModelDirectory, resolveModel } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'llama-cpp': { type: 'string' },
    tokens: { type: 'string', default: '64' },
    'same-values': { type: 'string' },
    tolerance: { type: 'string', default: '0.02' },
  },
});
const [modelPath, ggufFile] = positionals;
if (!ggufFile || !flags['llama-cpp']) {
  console.error(
    'usage: node bench/llamaCpp.mjs MODEL FILE.gguf --llama-cpp DIRECTORY [--tokens 64] [--same-values F32.gguf]',
  );
  process.exit(2);
}
const tokens = Number(flags.tokens);
const tolerance = Number(flags.tolerance);
const cli = fileURLToPath(new URL('../packages/cli/bin/soft-tokens.js', import.meta.url));
const text = readFileSync(new URL('texts/alice.txt', import.meta.url), 'utf8');

const questions = [
  'What is the capital of France?',
  'Name three animals that live in the sea.',
  'Why is the sky blue?',
  'Tom has 12 marbles and gives 5 to Ann. How many marbles are left?',
  'Write a short poem about the rain.',
  'How do I boil an egg?',
  'What is the opposite of "generous"?',
  'Translate "good morning" into Spanish.',
  'Explain photosynthesis to a child.',
  'A train goes 60 miles an hour for 3 hours. How far does it go?',
  'List the days of the week.',
  'What happens when ice is heated?',
  'Give me a Python function that adds two numbers.',
  'Who wrote Romeo and Juliet?',
  'What is 15% of 80?',
  'Describe a forest in autumn.',
  'How many sides has a hexagon?',
  'What should I pack for a day at the beach?',
  'Is the number 91 prime?',
  'Tell me a fact about the moon.',
];

await useEngine('native');
const { model, tokenizer } = await loadModelDirectory(await resolveModel(modelPath));
const llamaCpp = await openLlamaCpp(flags['llama-cpp'], resolve(ggufFile));
const sameValues = flags['same-values'] && (await openLlamaCpp(flags['llama-cpp'], resolve(flags['same-values'])));

let failed = false;
let furthest = 0;
const ours = questions.map(greedy);
console.error(`${ours.length} prompts completed here`);
let same = 0;
for (const { prompt, promptIds, ids } of ours) {
  const theirPrompt = llamaCpp.tokenize(prompt);
  if (theirPrompt.join() !== promptIds.join()) {
    failed = true;
    console.log(
      `ids differ for ${JSON.stringify(prompt)}: ours ${promptIds.join(' ')}, llama.cpp ${theirPrompt.join(' ')}`,
    );
    continue;
  }
  const theirs = await llamaCpp.greedy(promptIds, ids.length);
  const parts = ids.findIndex((id, i) => id !== theirs[i]);
  if (parts < 0) {
    same++;
    continue;
  }
  const prefix = [...promptIds, ...ids.slice(0, parts)];
  const pair = [ids[parts], theirs[parts]];
  const [our, their] = [gap(logProbs(prefix), pair), gap(await llamaCpp.logProbs(prefix), pair)];
  const values = sameValues && gap(await sameValues.logProbs(prefix), pair);
  const apart = Math.abs(our - (values ?? their));
  const within = apart <= tolerance;
  failed ||= !within;
  furthest = Math.max(furthest, apart);
  const [a, b] = pair.map((id) => JSON.stringify(tokenizer.decode([id])));
  console.log(
    `parts at token ${parts}: log p(${a}) - log p(${b}) is ${our.toFixed(4)} here, ${their.toFixed(4)} in llama.cpp` +
      `${values === undefined ? '' : `, ${values.toFixed(4)} there with the same values in F32`}` +
      `${within ? '' : ': MORE THAN THE TOLERANCE'}`,
  );
}
console.log(
  `greedy: ${same} of ${questions.length} prompts give the same ${tokens} tokens; the others part by at most ${furthest.toFixed(4)} nats`,
);

const ids = tokenizer.promptIds(text);
const [our, their] = [likelihood(ids), await llamaCpp.likelihood(ids)];
console.log(`likelihood of texts/alice.txt, ${ids.length} tokens, each but the first: nats a token and perplexity`);
console.log(`  here       ${our.toFixed(5)}  ${Math.exp(our).toFixed(4)}`);
console.log(`  llama.cpp  ${their.toFixed(5)}  ${Math.exp(their).toFixed(4)}`);
if (sameValues) {
  const nats = await sameValues.likelihood(ids);
  console.log(`  llama.cpp  ${nats.toFixed(5)}  ${Math.exp(nats).toFixed(4)}  with the same values in F32`);
}
await llamaCpp.dispose();
await sameValues?.dispose();
process.exit(failed ? 1 : 0);

/** What `soft-tokens generate` gives for a question: the exact ids of prompt and thought. */
function greedy(question) {
  const prompt = plainPrompt(question);
  const args = [
    'generate',
    modelPath,
    question,
    '--setting',
    'hard-greedy',
    '--json',
    '--show-prompt',
    '--engine',
    'native',
  ];
  const caps = ['--max-thought-tokens', `${tokens}`, '--max-answer-tokens', '1'];
  const { stdout, status, stderr } = spawnSync(process.execPath, [cli, ...args, ...caps], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const { completions, promptIds } = JSON.parse(stdout);
  return { prompt, promptIds, ids: completions[0].thoughtTokens.map(({ id }) => id) };
}

/** Log-probabilities of every next token, natural. */
function logProbs(prefix) {
  return tf.tidy(() => {
    const hidden = model.forward(model.embed(tf.tensor2d([prefix], [1, prefix.length], 'int32')));
    return tf.logSoftmax(model.head.logits(tf.slice(hidden, [0, prefix.length - 1], [1, 1]))).dataSync();
  });
}

function gap(logProb, [a, b]) {
  return logProb[a] - logProb[b];
}

/** Mean -log p of each token given those before it. */
function likelihood(ids) {
  return tf.tidy(() => {
    const given = ids.slice(0, -1);
    const hidden = model.forward(model.embed(tf.tensor2d([given], [1, given.length], 'int32')));
    const next = tf.tensor2d([ids.slice(1)], [1, given.length], 'int32');
    return -tf.mean(model.head.logProb(hidden, next, 1)).dataSync()[0];
  });
}

async function openLlamaCpp(directory, modelPath) {
  const require = createRequire(join(resolve(directory), 'package.json'));
  const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')).href);
  const llama = await getLlama({ gpu: false, build: 'never' });
  const loaded = await llama.loadModel({ modelPath });
  const context = await loaded.createContext({ contextSize: 1024, sequences: 1, threads: availableParallelism() });
  const sequence = context.getSequence();
  // The whole distribution: no temperature, no top-k, no top-p.
  const plain = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const distributions = async (ids, wanted) => {
    await sequence.clearHistory();
    const inputs = ids.map((id, i) =>
      wanted(i) ? [id, { generateNext: { probabilities: true, options: plain } }] : id,
    );
    return sequence.controlledEvaluate(inputs);
  };
  return {
    tokenize: (text) => loaded.tokenize(text, true),
    async greedy(promptIds, count) {
      await sequence.clearHistory();
      const ids = [];
      for await (const id of sequence.evaluate(promptIds, { temperature: 0, yieldEogToken: true })) {
        ids.push(id);
        if (ids.length === count) break;
      }
      return ids;
    },
    async logProbs(prefix) {
      const results = await distributions(prefix, (i) => i === prefix.length - 1);
      const probabilities = results.at(-1).next.probabilities;
      return new Proxy({}, { get: (_, id) => Math.log(probabilities.get(Number(id))) });
    },
    async likelihood(ids) {
      const results = await distributions(ids, (i) => i < ids.length - 1);
      let sum = 0;
      for (let i = 0; i < ids.length - 1; i++) sum -= Math.log(results[i].next.probabilities.get(ids[i + 1]));
      return sum / (ids.length - 1);
    },
    dispose: () => llama.dispose(),
  };
}
