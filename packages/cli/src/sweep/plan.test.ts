import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseSetting, type Setting } from '../config/set.js';
import { CliError } from '../errors.js';
import { temporaryFolder, writeRecipe } from '../test/tools.js';
import { readSweep } from './file.js';
import { labelOf, nameOf } from './names.js';
import { planSweep } from './plan.js';
import { recordOf } from './record.js';

const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
afterAll(folder.remove);
beforeAll(() => {
  for (const model of ['model', 'sweeps/other']) {
    mkdirSync(at(model), { recursive: true });
    writeFileSync(at(model, 'config.json'), '{}');
  }
  writeRecipe(folder.path, { temperature: { fuzzy: 0.1 } }, 'recipe.yaml');
});

function write(text: string): string {
  writeFileSync(at('sweeps', 'sweep.yaml'), `recipe: ../recipe.yaml\n${text}`);
  return at('sweeps', 'sweep.yaml');
}

async function plan(text: string, ...flags: string[]) {
  return planSweep(await readSweep(write(text), flags.map(parseSetting)), at('out'));
}

async function problem(text: string, ...flags: string[]): Promise<string> {
  const error = await plan(text, ...flags).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CliError);
  expect((error as CliError).exitCode).toBe(2);
  return (error as CliError).message;
}

test('the product of what is varied, in order, the last varying fastest', async () => {
  const runs = await plan('vary: { noise.factor: [0.1, 1], seed: [3, 1, 2] }\n');
  expect(runs.map(({ name }) => name)).toEqual([
    'noise.factor=0.1,seed=3',
    'noise.factor=0.1,seed=1',
    'noise.factor=0.1,seed=2',
    'noise.factor=1,seed=3',
    'noise.factor=1,seed=1',
    'noise.factor=1,seed=2',
  ]);
  expect(runs.map(({ config }) => [config.noise.factor, config.seed])).toEqual([
    [0.1, 3],
    [0.1, 1],
    [0.1, 2],
    [1, 3],
    [1, 1],
    [1, 2],
  ]);
  expect(runs[1]).toMatchObject({
    directory: at('out', 'runs', 'noise.factor=0.1,seed=1'),
    values: { 'noise.factor': 0.1, seed: 1 },
  });
});

test('variants set several keys each, and are one more factor', async () => {
  const runs = await plan(`
set: { modes: [fuzzy], noise: { factor: 2 } }
vary: { seed: [1, 2] }
variants:
  embedding: {}
  top5: { noise.placement: topk, noise: { k: 5 }, temperature.soft: 1 }
`);
  expect(runs.map(({ name }) => name)).toEqual([
    'seed=1,variant=embedding',
    'seed=1,variant=top5',
    'seed=2,variant=embedding',
    'seed=2,variant=top5',
  ]);
  expect(runs[0]!.config).toMatchObject({ modes: ['fuzzy'], noise: { factor: 2, scale: 'entry' } });
  expect(runs[3]!.config).toMatchObject({
    seed: 2,
    noise: { factor: 2, placement: 'topk', k: 5 },
    // A map adds to the recipe's.
    temperature: { fuzzy: 0.1, soft: 1 },
  });
});

test('an empty map takes nothing away, and makes a section that was not there', async () => {
  const [kept, tested] = await plan('variants: { kept: { temperature: {} }, tested: { evaluate: {} } }\n');
  expect([kept!.config.temperature, kept!.config.evaluate]).toEqual([{ fuzzy: 0.1 }, undefined]);
  expect(tested!.config.evaluate).toMatchObject({ samples: 32 });
});

test('flags apply to every run and win over the file', async () => {
  const runs = await plan('set: { steps: 7 }\nvary: { seed: [1, 2] }\n', 'steps=9');
  expect(runs.map(({ config }) => config.steps)).toEqual([9, 9]);
});

test('paths are relative to the file that says them', async () => {
  const runs = await plan('vary: { model: [other, ../model] }\n');
  expect(runs.map(({ config }) => config.model)).toEqual([at('sweeps', 'other'), at('model')]);
});

test.each([
  ['vary: { seed: [] }\n', [], /sweep\.yaml:2:9: vary\.seed: expected .*>=1 items, got \[\]/],
  ['set: { seed: 1 }\n', [], /: vary: expected vary or variants, something to run more than once/],
  ['vray: { seed: [1] }\nvary: { seed: [1] }\n', [], /sweep\.yaml:2:1: vray: unknown key; did you mean vary\?/],
  ['vary: { seed: 1 }\n', [], /sweep\.yaml:2:9: vary\.seed: expected a list, got 1/],
  ['vary: { noise..factor: [1, 2] }\n', [], /sweep\.yaml:2:\d+: expected a key of the recipe like noise\.factor/],
  ['vary: { seed: [1, 2, 1] }\n', [], /sweep\.yaml:2:\d+: seed: expected values that differ, got 1 beside 1/],
  ['variants: { a: {}, A: { seed: 1 } }\n', [], /variant: expected values that differ, got A beside a/],
  [
    'variants: { a: {}, b: {} }\n',
    [],
    /expected runs that differ, got the same configuration for variant=a and variant=b/,
  ],
  [
    'set: { seed: 1 }\nvary: { seed: [1, 2] }\n',
    [],
    /sweep\.yaml:2:8: seed: expected a key that the sweep does not vary/,
  ],
  ['vary: { noise.factor: [1, 2], noise: [{ factor: 1 }] }\n', [], /noise\.factor: expected a key that the sweep does/],
  ['vary: { seed: [1] }\nvariants: { a: { seed: 2 } }\n', [], /sweep\.yaml:3:18: seed: expected a key that the sweep/],
  ['vary: { seed: [1, 2] }\n', ['seed=3'], /--set seed=3: seed: expected a key that the sweep does not vary/],
  // What a run's configuration is checked for names the sweep's key, and the run.
  [
    'set: { seeed: 1 }\nvary: { seed: [1, 2] }\n',
    [],
    /^\S*sweep\.yaml:2:8: seeed: unknown key; did you mean seed\? \(run seed=1 and 1 more\)$/,
  ],
  ['vary: { seed: [1, x] }\n', [], /^\S*sweep\.yaml:2:19: seed: expected a number, got "x" \(run seed=x\)$/],
  [
    'set: { steps.x: 1 }\nvary: { seed: [1] }\n',
    [],
    /sweep\.yaml:2:8: expected steps to be a map, got 6 \(run seed=1\)/,
  ],
  ['variants: { a: { noise.placement: topk } }\n', [], /noise\.k: expected k, how many logits.*\(run variant=a\)/],
  ['vary: { model: [nowhere] }\n', [], /sweep\.yaml:2:17: model: .*sweeps\/nowhere.*\(run model=nowhere\)/],
])('%j %j is refused', async (text, flags, message) => {
  expect(await problem(text, ...flags)).toMatch(message);
});

test('a recipe that is not there is refused', async () => {
  writeFileSync(at('lost.yaml'), 'recipe: none.yaml\nvary: { seed: [1] }\n');
  await expect(readSweep(at('lost.yaml'), [])).rejects.toThrow(
    /lost\.yaml:1:1: recipe: expected a file, got nothing at/,
  );
});

test.each([
  [0.1, '0.1'],
  [1e-7, '1e-7'],
  ['soft', 'soft'],
  [['hard', 'soft'], 'hard+soft'],
  [null, 'null'],
  [true, 'true'],
])('the label of %j is %s', (value, label) => {
  expect(labelOf(value)).toBe(label);
});

test('a label holds nothing that a file system minds, and what it loses is told apart', () => {
  const labels = ['a/b', 'a:b', 'a b', 'a_b', { a: 1 }, 'x'.repeat(300), `${'x'.repeat(300)}y`].map(labelOf);
  expect(new Set(labels).size).toBe(labels.length);
  for (const label of labels) expect(label).toMatch(/^[\w.+~-]{1,40}$/);
  const long = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, 'v'.repeat(30)]));
  expect(nameOf(long).length).toBeLessThanOrEqual(200);
  expect(nameOf(long)).not.toBe(nameOf({ ...long, key19: 'w' }));
});

test('sweep.yaml of the folder is the same sweep, from where it is', async () => {
  const flags: Setting[] = [parseSetting('steps=9'), parseSetting(`model=${relative(process.cwd(), at('model'))}`)];
  const file = write(`
set: { noise: { factor: 2 } }
vary: { seed: [1, 2] }
variants: { here: {}, there: { frozen: [model.norm.weight] } }
`);
  const sweep = await readSweep(file, flags);
  const runs = await planSweep(sweep, at('out'));
  const record = recordOf(sweep, runs, at('out'));
  expect(record).toMatchObject({ recipe: '../recipe.yaml', set: { model: '../model', steps: 9 } });
  mkdirSync(at('out'), { recursive: true });
  writeFileSync(at('out', 'sweep.yaml'), stringify(record));
  expect(parse(stringify(record))).toEqual(record);
  expect(await planSweep(await readSweep(at('out', 'sweep.yaml'), []), at('out'))).toEqual(runs);
});
