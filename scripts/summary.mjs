// Mean and 95 % confidence interval over seeds of what several runs of one recipe reached:
//   node scripts/summary.mjs runs/learning-1 runs/learning-2 runs/learning-3
// Differences are taken within a run, then averaged, since a seed shifts both sides alike.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { meanInterval } from '../packages/metrics/dist/index.js';

const directories = process.argv.slice(2);
const runs = directories.map((directory) => JSON.parse(readFileSync(join(directory, 'results.json'), 'utf8')));
if (runs.length < 2) {
  console.error(`summary: expected at least two run folders, got ${runs.length}; name one a seed`);
  process.exit(2);
}

const show = (values) => {
  const { mean, low, high } = meanInterval(values);
  return `${mean.toFixed(1).padStart(6)} [${low.toFixed(1)}, ${high.toFixed(1)}]`;
};
const setting = (run, subject, name, k) =>
  run.models
    .find((model) => model.subject === subject)
    ?.sets[0].settings.find((result) => result.setting === name)
    ?.passAtK.find((point) => point.k === k)?.value;

console.log(`${runs.length} runs; mean [95 % interval over runs]\n`);
console.log('training reward, first and last steps');
for (const { mode } of runs[0].training) {
  const own = runs.map((run) => run.training.find((training) => training.mode === mode).reward);
  console.log(
    `  ${mode.padEnd(6)} first ${show(own.map((r) => r.first))}  last ${show(own.map((r) => r.last))}` +
      `  gain ${show(own.map((r) => r.last - r.first))}`,
  );
}
console.log('\naccuracy on held-out questions, %: gain of each trained model over the base');
for (const { sets } of runs[0].models.slice(0, 1)) {
  for (const { setting: name, passAtK } of sets[0].settings) {
    for (const k of passAtK.length > 1 ? [1, passAtK.at(-1).k] : [1]) {
      const base = runs.map((run) => 100 * setting(run, 'base', name, k));
      const gains = runs[0].training.map(
        ({ mode }) => `${mode} ${show(runs.map((run, i) => 100 * setting(run, mode, name, k) - base[i]))}`,
      );
      console.log(`  ${`${name}@${k}`.padEnd(16)} base ${show(base)}  ${gains.join('  ')}`);
    }
  }
}

/** Operations in a generated problem's computation: `arithmetic/test/2/4+9-1` has two. */
const level = (id) =>
  id
    .split('/')
    .slice(3)
    .join('/')
    .match(/[-+*/]/g)?.length;
const shares = (run, subject, name) => {
  const [set] = runs[0].models[0].sets;
  const lines = readFileSync(join(run, subject, 'eval', set.set, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  const questions = lines.map((line) => JSON.parse(line));
  const levels = [...new Set(questions.map(({ id }) => level(id)))];
  return new Map(
    levels.map((l) => {
      const own = questions.filter(({ id }) => level(id) === l);
      return [
        l,
        own.reduce((sum, { correct }) => sum + (100 * correct.filter(Boolean).length) / correct.length, 0) / own.length,
      ];
    }),
  );
};

console.log('\naccuracy by operations in the problem, %: base -> trained');
for (const { mode } of runs[0].training) {
  for (const name of [`${mode}-sample`, 'hard-greedy']) {
    const base = directories.map((directory) => shares(directory, 'base', name));
    const trained = directories.map((directory) => shares(directory, mode, name));
    const cells = [...base[0].keys()]
      .sort()
      .map((l) => `${l}: ${show(base.map((x) => x.get(l)))} -> ${show(trained.map((x) => x.get(l)))}`);
    console.log(`  ${mode.padEnd(6)} ${name.padEnd(13)} ${cells.join('   ')}`);
  }
}
