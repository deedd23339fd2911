import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tinyModelDirectory } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { trainSchema } from '../config/recipe.js';
import { readLines } from '../jsonLines.js';
import type { LikelihoodResult } from '../likelihood.js';
import { temporaryFolder } from '../test/tools.js';
import { choicesTask } from './choicesTask.js';
import type { SubjectCache } from './evaluateTask.js';
import type { TaskContext } from './execute.js';
import { layout } from './layout.js';
import { type ChoicesTask, needsOf, type SubjectName, type TaskEvent, taskName, tasksOf } from './tasks.js';

const folder = temporaryFolder();
afterAll(folder.remove);
beforeAll(() => useEngine('wasm'));

const at = (...names: string[]) => join(folder.path, ...names);
const task: ChoicesTask = { kind: 'choices', subject: 'base', set: 'steps' };
const config = trainSchema.parse({
  model: tinyModelDirectory,
  data: { kind: 'arithmetic', levels: [2], test: 10 },
  modes: ['hard'],
  steps: 1,
  questionsPerStep: 1,
  samples: 2,
  caps: { thought: 32, answer: 6 },
  optimizer: { learningRate: 1 },
  evaluate: { settings: ['hard-greedy'], outOfDomain: { steps: { kind: 'arithmetic', levels: [2], test: 40 } } },
});

async function scored(directory: string, changes: Partial<TaskContext> = {}, subject: SubjectName = 'base') {
  const events: TaskEvent[] = [];
  const context = { config, directory, signal: new AbortController().signal, ...changes };
  const cache: SubjectCache = {};
  try {
    await choicesTask({ emit: (event) => events.push(event), ...context }, cache, { ...task, subject });
  } finally {
    cache.held?.subject.model.dispose();
  }
  const { summary } = layout.choices(directory, subject, 'steps');
  return { events, text: readFileSync(summary, 'utf8') };
}

test('the tiny model finds the right solution of two operations likelier than wrong ones', async () => {
  const { events, text } = await scored(at('run'));
  const result = JSON.parse(text) as LikelihoodResult;
  expect(result).toMatchObject({ set: 'steps', questions: 40 });
  expect(result.accuracy).toBeGreaterThan(0.5); // by chance 0.25
  expect(result.normalized).toBeGreaterThan(0.5);
  expect(result.nll).toBeGreaterThan(0);
  expect(result.nll).toBeLessThan(1);
  expect(events.at(-1)).toMatchObject({ task: 'choices base steps', share: 1 });
  expect((await scored(at('run'))).events).toEqual([]); // what is there is read
});

test('one that is killed goes on after its last whole line, to the same bytes', async () => {
  const many = { steps: { kind: 'arithmetic' as const, levels: [2], test: 300, seed: 1 } };
  const changes = { config: { ...config, evaluate: { ...config.evaluate!, outOfDomain: many } } };
  const whole = await scored(at('whole'), changes);
  const controller = new AbortController();
  const emit = (event: TaskEvent) => {
    if (event.type === 'progress' && event.share >= 0.5) controller.abort(new Error('stop'));
  };
  await expect(scored(at('killed'), { ...changes, signal: controller.signal, emit })).rejects.toThrow('stop');
  const { summary, questions } = layout.choices(at('killed'), 'base', 'steps');
  expect(existsSync(summary)).toBe(false);
  expect(await readLines(questions)).toHaveLength(128);
  writeFileSync(questions, `${readFileSync(questions, 'utf8')}{"id": "cut sho`);
  const resumed = await scored(at('killed'), changes);
  expect(resumed.events[0]).toMatchObject({ resumed: true, share: 128 / 300 });
  expect(resumed.text).toBe(whole.text);
});

test('runs of the same base share what came of it', async () => {
  const shared = at('shared');
  const first = await scored(at('run-1'), { shared });
  const second = await scored(at('run-2'), { shared });
  expect(first.events.length).toBeGreaterThan(0);
  expect(second.events).toEqual([]);
  expect(second.text).toBe(first.text);
  // A trained model is the run's own.
  cpSync(tinyModelDirectory, layout.best(at('run-2'), 'hard'), { recursive: true });
  const held = readdirSync(shared);
  expect((await scored(at('run-2'), { shared }, 'hard')).events.length).toBeGreaterThan(0);
  expect(readdirSync(shared)).toEqual(held);
  // Other questions are another score.
  const outOfDomain = { steps: { kind: 'arithmetic' as const, levels: [2], test: 5, seed: 1 } };
  const other = { ...config, evaluate: { ...config.evaluate!, outOfDomain } };
  expect((await scored(at('run-3'), { shared, config: other })).events.length).toBeGreaterThan(0);
});

test('a task for each model and set, after the training of the model', () => {
  const tasks = tasksOf(config).filter(({ kind }) => kind === 'choices');
  expect(tasks.map(taskName)).toEqual(['choices base steps', 'choices hard steps']);
  expect(tasks.map(needsOf)).toEqual([[], ['train hard']]);
  expect(layout.marker('runs', task)).toBe(join('runs', 'base', 'choices', 'steps.json'));
});
