import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeRun } from '../test/experiment.js';
import { temporaryFolder } from '../test/tools.js';
import { collectRuns } from './collect.js';

const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
afterAll(folder.remove);

test('run folders and the runs of sweeps, each once, named without what they share', async () => {
  writeRun(at('a', 'demo'), { modes: ['soft'], steps: 4 });
  for (const seed of [1, 2, 10]) writeRun(at('sweep', 'runs', `seed=${seed}`), { modes: ['hard'], seed, steps: 4 });
  writeFileSync(at('sweep', 'sweep.yaml'), 'vary: {}\n');
  const { runs, leftOut } = await collectRuns([at('sweep'), at('a', 'demo'), at('sweep', 'runs', 'seed=2')]);
  expect(runs.map(({ name }) => name)).toEqual(['a/demo', 'sweep/seed=1', 'sweep/seed=2', 'sweep/seed=10']);
  expect(leftOut).toEqual([]);
  const [demo] = runs;
  expect(demo).toMatchObject({ model: 'tiny', trainedOn: 'arithmetic', seed: 1 });
  expect(demo!.logs).toHaveLength(1);
  expect(demo!.logs[0]!.records).toHaveLength(5);
  // Six settings of the base and six of the soft model.
  expect(demo!.thoughts).toHaveLength(12);
});

test('a run from before a key existed is one with its default', async () => {
  writeRun(at('older'), { modes: ['soft'], steps: 4 });
  const file = at('older', 'config.yaml');
  const text = readFileSync(file, 'utf8');
  expect(text).not.toContain('advantage');
  expect((await collectRuns([at('older')])).runs[0]!.config).toMatchObject({ advantage: 'leaveOneOut' });
  // What no recipe is any more is taken as it stands.
  writeFileSync(file, `${text}\nforeign: 3\n`);
  expect((await collectRuns([at('older')])).runs[0]!.config).toMatchObject({ foreign: 3 });
});

test('a run that goes on is there with its log, and said to be left out of the tables', async () => {
  writeRun(at('going'), { modes: ['soft', 'fuzzy'], steps: 8, unfinished: true });
  const { runs, leftOut } = await collectRuns([at('going')]);
  expect(runs[0]!.results).toBeUndefined();
  expect(leftOut).toEqual([
    { name: 'going', why: 'not finished, no results.json yet: soft 4 of 8 steps, fuzzy 4 of 8 steps' },
  ]);
});

test('results of another version are left out with the key that is wrong', async () => {
  writeRun(at('old'), { modes: ['soft'], steps: 4 });
  writeFileSync(at('old', 'results.json'), '{"model": "tiny", "trainedOn": "x", "seed": 1, "trainedWith": 3}');
  const { leftOut } = await collectRuns([at('old')]);
  expect(leftOut[0]!.why).toMatch(
    /^results\.json: expected what this version of soft-tokens writes, got at trainedWith: /,
  );
  writeFileSync(at('old', 'results.json'), '{"model": ');
  expect((await collectRuns([at('old')])).leftOut[0]!.why).toMatch(/^results\.json: expected it whole, got /);
});

test('a folder that is no run, none at all, and a sweep without runs are errors of usage', async () => {
  mkdirSync(at('empty'));
  await expect(collectRuns([at('empty')])).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(
      /empty: expected a run folder or a sweep folder, got one with neither run\.json nor/,
    ),
  });
  await expect(collectRuns([at('nowhere')])).rejects.toMatchObject({ exitCode: 2 });
  writeFileSync(at('empty', 'sweep.yaml'), '');
  await expect(collectRuns([at('empty')])).rejects.toThrow('the sweep has no runs yet');
  writeRun(at('broken'), { modes: ['soft'], steps: 4 });
  rmSync(at('broken', 'config.yaml'));
  await expect(collectRuns([at('broken')])).rejects.toThrow('broken: not begun: no config.yaml');
});

test('a line of a log that is none is an error with its place', async () => {
  writeRun(at('line'), { modes: ['soft'], steps: 2 });
  writeFileSync(at('line', 'soft', 'metrics.jsonl'), '{"type":"step","step":1}\n');
  await expect(collectRuns([at('line')])).rejects.toThrow(/line: soft\/metrics\.jsonl:1: expected what this version/);
  writeFileSync(at('line', 'soft', 'metrics.jsonl'), '{"type":\n{"type":"step"}\n');
  // Other runs have their report.
  writeRun(at('whole'), { modes: ['soft'], steps: 2 });
  const { runs, leftOut } = await collectRuns([at('line'), at('whole')]);
  expect(runs.map(({ name }) => name)).toEqual(['whole']);
  expect(leftOut).toEqual([
    { name: 'line', why: expect.stringMatching(/^soft\/metrics\.jsonl: expected a line of JSON each, got /) },
  ]);
});
