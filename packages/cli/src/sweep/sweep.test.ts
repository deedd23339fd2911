import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tinyModelDirectory } from '@soft-tokens/models';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { finished, runInProcess, start, temporaryFolder, until, writeRandomModel, writeRecipe } from '../test/tools.js';

const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
afterAll(folder.remove);
beforeAll(async () => {
  await writeRandomModel(at('model'));
  const outOfDomain = { worked: { kind: 'arithmetic', levels: [1], test: 2, seed: 1 } };
  const evaluate = { questions: 2, samples: 2, settings: ['hard-greedy', 'hard-sample'], seed: 1, outOfDomain };
  // The tiny model is right at times, so that seeds differ.
  const model = tinyModelDirectory;
  const caps = { thought: 32, answer: 6 };
  writeRecipe(folder.path, { model, caps, modes: ['hard'], steps: 2, evaluate }, 'recipe.yaml');
  writeRecipe(folder.path, { modes: ['hard'], steps: 2 }, 'recipe-plain.yaml');
});

function writeSweep(content: Record<string, unknown>, name = 'sweep.yaml'): string {
  writeFileSync(at(name), JSON.stringify({ recipe: 'recipe.yaml', ...content }));
  return at(name);
}

const read = (...path: string[]) => JSON.parse(readFileSync(at(...path), 'utf8'));
const list = async (argv: string[]) => (await runInProcess([...argv, '--list'])).out;

test('runs what is not done, sums up, tests the base once; more values add runs', async () => {
  const argv = ['sweep', writeSweep({ vary: { seed: [1, 2] } }), '--run-dir', at('whole')];
  expect(await list(argv)).toBe('seed=1  to do\nseed=2  to do\n');
  expect(existsSync(at('whole'))).toBe(false);

  const first = await runInProcess(argv);
  expect([first.code, first.notes]).toEqual([0, expect.stringContaining('run 1 of 2: seed=1\n')]);
  expect(first.notes).toContain('run 2 of 2: seed=2\n');
  expect(first.out).toBe(readFileSync(at('whole', 'table.txt'), 'utf8'));
  expect(first.out).toMatch(
    /arithmetic: % correct of 2 questions\n {2}trained +HG +HS1 +HS2 +HM2\nevery run: 2 seeds\n {2}none/,
  );
  expect(first.out).toMatch(/nats a token\n {2}trained +worked\nevery run: 2 seeds\n {2}none +\d\.\d{3}±0\.000\n/);
  expect(await list(argv)).toBe('seed=1  done\nseed=2  done\n');

  // The aggregate is of what the runs wrote: the mean of two, and |a - b| / √2.
  const [a, b] = [1, 2].map((seed) => read('whole', 'runs', `seed=${seed}`, 'results.json').training[0].reward.last);
  const [group] = read('whole', 'results.json').groups;
  const reward = group.measures.find(({ metric }: { metric: string }) => metric === 'reward last');
  expect(a).not.toBe(b);
  expect(reward.mean).toBeCloseTo((a + b) / 2, 10);
  expect(reward.sd).toBeCloseTo(Math.abs(a - b) / Math.SQRT2, 10);
  expect(reward).toMatchObject({ subject: 'hard', n: 2, values: { 'seed=1': a, 'seed=2': b } });
  expect(readFileSync(at('whole', 'results.csv'), 'utf8')).toContain(`\nhard,,,reward last,${reward.mean},`);
  expect(readFileSync(at('whole', 'results.md'), 'utf8')).toContain('| trained | seeds |');

  // One evaluation of the base for both runs, two settings, and one of its likelihoods.
  const shared = readdirSync(at('whole', 'base'));
  expect(shared).toHaveLength(3); // a folder of evaluations, and two files of the set of choices
  const settings = shared.find((name) => !/\.jsonl?$/.test(name))!;
  expect(readdirSync(at('whole', 'base', settings)).filter((name) => /(greedy|sample)\.json$/.test(name))).toHaveLength(
    2,
  );

  const trained = () => statSync(at('whole', 'runs', 'seed=1', 'hard', 'trained.json')).mtimeMs;
  const before = trained();
  writeSweep({ vary: { seed: [1, 2, 3] } });
  expect(await list(argv)).toBe('seed=1  done\nseed=2  done\nseed=3  to do\n');
  const more = await runInProcess([...argv, '--json']);
  expect(more.code).toBe(0);
  expect(more.notes).toContain('2 of 3 runs done before\nrun 3 of 3: seed=3\n');
  expect(more.notes).not.toContain('run 1 of');
  expect(JSON.parse(more.out).groups[0]).toMatchObject({ runs: ['seed=1', 'seed=2', 'seed=3'], missing: [] });
  expect(readdirSync(at('whole', 'base'))).toEqual(shared);
  expect(trained()).toBe(before);

  writeSweep({ vary: { seed: [1, 3] } });
  const less = await runInProcess(argv);
  expect(less.notes).toContain('runs of an earlier sweep, left as they are: seed=2');
  expect(read('whole', 'results.json').groups[0].runs).toEqual(['seed=1', 'seed=3']);
});

test('a folder of other configurations or of another sweep is refused, or with --overwrite replaced', async () => {
  const sweep = (content: Record<string, unknown>) =>
    writeSweep({ recipe: 'recipe-plain.yaml', ...content }, 'other.yaml');
  const file = sweep({ vary: { seed: [1] } });
  const argv = ['sweep', file, '--run-dir', at('other')];
  expect((await runInProcess(argv)).code).toBe(0);

  sweep({ set: { steps: 3 }, vary: { seed: [1, 2] } });
  expect(await list(argv)).toBe('seed=1  other values of steps\nseed=2  to do\n');
  const changed = await runInProcess(argv);
  expect([changed.code, changed.out]).toEqual([2, '']);
  expect(changed.notes).toMatch(/got runs with other values:\n {2}seed=1: steps\nchoose another folder with --run-dir/);
  expect(existsSync(at('other', 'runs', 'seed=2'))).toBe(false);

  sweep({ vary: { seed: [1], steps: [3] } });
  const renamed = await runInProcess(argv);
  expect(renamed.code).toBe(2);
  expect(renamed.notes).toMatch(/which varies seed, got one that varies seed, steps; choose another folder/);

  sweep({ set: { steps: 3 }, vary: { seed: [1] } });
  expect((await runInProcess([...argv, '--overwrite'])).code).toBe(0);
  expect(await list(argv)).toBe('seed=1  done\n');

  mkdirSync(at('foreign'));
  writeFileSync(at('foreign', 'notes.txt'), '');
  const foreign = await runInProcess(['sweep', file, '--run-dir', at('foreign')]);
  expect([foreign.code, foreign.notes]).toEqual([2, expect.stringContaining('got one without a sweep.yaml')]);
});

test('a run that fails ends the sweep; with --keep-going the others are done, and the failures named', async () => {
  // A recipe alone is right; that the adapter fits no layer of the model shows when the run starts.
  const lora = { target: ['nothing'] };
  const content = { recipe: 'recipe-plain.yaml', variants: { broken: { lora }, whole: {} } };
  const argv = ['sweep', writeSweep(content, 'failing.yaml'), '--run-dir', at('failing')];
  const stopped = await runInProcess(argv);
  expect([stopped.code, stopped.out]).toEqual([expect.any(Number), '']);
  expect(stopped.code).not.toBe(0);
  expect(stopped.notes).not.toContain('run 2 of 2');

  const going = await runInProcess([...argv, '--keep-going']);
  expect(going.code).toBe(1);
  expect(going.notes).toMatch(/failed: .*nothing/);
  expect(going.notes).toContain('run 2 of 2: variant=whole\n');
  expect(going.notes).toMatch(/error: 1 of 2 runs failed:\n {2}variant=broken: .*nothing/);
  expect(going.out).toContain('variant=broken: 0 of 1 seed\n');
  expect(going.out).toContain('Missing, and in no average:\n  variant=broken\n');
  expect(await list(argv)).toBe('variant=broken  to do\nvariant=whole  done\n');
});

test.each([
  ['SIGKILL', null],
  ['SIGINT', 130],
] as const)('after %s in the second run the rest alone is done', async (signal, exitCode) => {
  writeRecipe(folder.path, { modes: ['hard'], steps: 6, samples: 16, questionsPerStep: 4 }, 'recipe-slow.yaml');
  const file = writeSweep({ recipe: 'recipe-slow.yaml', vary: { seed: [1, 2] } }, 'killed.yaml');
  const argv = ['sweep', file, '--run-dir', signal];
  const listed = ['sweep', file, '--run-dir', at(signal)];
  const child = start(argv, { cwd: folder.path });
  const ended = finished(child);
  const metrics = at(signal, 'runs', 'seed=2', 'hard', 'metrics.jsonl');
  await until(() => existsSync(metrics) && readFileSync(metrics, 'utf8').includes('"step":3,'), 'step 3');
  child.kill(signal);
  const { code, notes } = await ended;
  expect(code).toBe(exitCode);
  if (exitCode !== null) expect(notes).toContain('error: interrupted; the same command goes on');
  expect(read(signal, 'results.json').groups[0]).toMatchObject({ missing: ['seed=2'] });
  expect(readFileSync(at(signal, 'table.txt'), 'utf8')).toContain('every run: 1 of 2 seeds');
  expect(await list(listed)).toMatch(/^seed=1 {2}done\nseed=2 {2}begun: 0 of 1 tasks, hard at step [345] of 6\n$/);

  const resumed = await finished(start(argv, { cwd: folder.path }));
  expect(resumed.code).toBe(0);
  expect(resumed.notes).not.toContain('run 1 of 2');
  expect(resumed.notes).not.toContain('earlier sweep'); // both runs are its own, in a folder named by a relative path
  expect(resumed.notes).toMatch(/run 2 of 2: seed=2\n(?:.*\n)*hard: resumed after step [24]/);
  expect(resumed.out).toContain('every run: 2 seeds\n');
});
