import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tinyModelDirectory } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { trainSchema } from '../config/recipe.js';
import type { QuestionRecord, ThoughtRecord } from '../evaluation.js';
import { readLines } from '../jsonLines.js';
import type { SettingSummary } from '../summary.js';
import { temporaryFolder } from '../test/tools.js';
import { evaluateTask, type SubjectCache } from './evaluateTask.js';
import type { TaskContext } from './execute.js';
import { type EvaluationFiles, layout } from './layout.js';
import type { TaskEvent } from './tasks.js';

const folder = temporaryFolder();
afterAll(folder.remove);
beforeAll(() => useEngine('wasm'));

const at = (...names: string[]) => join(folder.path, ...names);
const task = { kind: 'evaluate', subject: 'base', set: 'arithmetic', setting: 'soft-sample' } as const;
const configOf = (evaluate: object) =>
  trainSchema.parse({
    model: tinyModelDirectory,
    data: { kind: 'arithmetic', levels: [2], test: 10 },
    noise: { factor: 100 },
    steps: 1,
    questionsPerStep: 1,
    samples: 2,
    caps: { thought: 32, answer: 6 },
    optimizer: { learningRate: 1 },
    evaluate: { samples: 2, ...evaluate },
  });

async function evaluated(
  directory: string,
  evaluate: object,
  changes: Partial<TaskContext> = {},
): Promise<EvaluationFiles> {
  const context = { directory, signal: new AbortController().signal, emit: () => {}, ...changes };
  const cache: SubjectCache = {};
  try {
    await evaluateTask({ config: configOf(evaluate), ...context }, cache, task);
  } finally {
    cache.held?.subject.model.dispose();
  }
  return layout.evaluation(directory, task.subject, task.set, task.setting);
}

const read = <T>(file: string) => JSON.parse(readFileSync(file, 'utf8')) as T;

test("tests at evaluate's noise, not at the noise of training", async () => {
  const solved = async (evaluate: object, name: string) => {
    const { summary } = await evaluated(at(name), evaluate);
    return read<SettingSummary>(summary).passAtK[0]!.value;
  };
  // The tiny model solves problems of two operations; under a hundred times its embeddings nothing can.
  expect(await solved({}, 'paper')).toBeGreaterThan(0.3);
  expect(await solved({ noise: { factor: 100 } }, 'loud')).toBeLessThan(0.3);
});

test('a line a question with all of its samples, which the summary counts up', async () => {
  const { summary, questions, thoughts } = await evaluated(at('paper'), {});
  const records = await readLines<QuestionRecord>(questions);
  expect(records).toHaveLength(10);
  const { passAtK, boxed, thoughtEnd, answerEnd, thoughtTokens, entropy } = read<SettingSummary>(summary);
  const right = records.flatMap(({ correct }) => correct).filter(Boolean).length;
  expect(passAtK[0]!.value).toBeCloseTo(right / 20, 12);
  expect(passAtK.map(({ k }) => k)).toEqual([1, 2]);
  expect(boxed).toBe(records.flatMap(({ answers }) => answers).filter((answer) => answer !== null).length / 20);
  expect(thoughtEnd.phrase + thoughtEnd.cap).toBeCloseTo(1, 12);
  expect(answerEnd.closed + answerEnd.end + answerEnd.cap).toBeCloseTo(1, 12);
  expect(thoughtTokens.max).toBe(Math.max(...records.flatMap((record) => record.thoughtTokens)));
  expect(entropy.count).toEqual(
    Array.from(
      { length: thoughtTokens.max },
      (_, t) => records.flatMap((record) => record.thoughtTokens).filter((length) => length > t).length,
    ),
  );

  const [first, ...others] = read<ThoughtRecord[]>(thoughts);
  expect(others).toHaveLength(2);
  expect(first!.steps).toHaveLength(records[0]!.thoughtTokens[0]!);
  expect(first!.steps.map(({ token }) => token).join('')).toBe(first!.thought);
  for (const { top, entropy } of first!.steps) {
    expect(top).toHaveLength(5);
    expect(top.reduce((sum, { p }) => sum + p, 0)).toBeLessThan(1 + 1e-5);
    expect(top.map(({ p }) => p)).toEqual(top.map(({ p }) => p).sort((a, b) => b - a));
    expect(entropy).toBeGreaterThanOrEqual(0);
  }
});

test('goes on after the last whole line of one that was killed, to the same bytes', async () => {
  const whole = await evaluated(at('paper'), {});
  const controller = new AbortController();
  const stopAfterFirst = (event: TaskEvent) => {
    if (event.type === 'progress') controller.abort(new Error('stop'));
  };
  const changes = { signal: controller.signal, emit: stopAfterFirst };
  await expect(evaluated(at('killed'), {}, changes)).rejects.toThrow('stop');
  const { questions, summary } = layout.evaluation(at('killed'), task.subject, task.set, task.setting);
  expect(existsSync(summary)).toBe(false);
  const done = (await readLines(questions)).length;
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(10);
  writeFileSync(questions, `${readFileSync(questions, 'utf8')}{"id": "cut sho`);

  const events: TaskEvent[] = [];
  const resumed = await evaluated(at('killed'), {}, { emit: (event) => events.push(event) });
  expect(events[0]).toMatchObject({ resumed: true, share: done / 10 });
  for (const key of ['questions', 'summary', 'thoughts'] as const) {
    expect(readFileSync(resumed[key], 'utf8')).toBe(readFileSync(whole[key], 'utf8'));
  }
});

test("a recipe's own stop phrase and prefill", async () => {
  const format = { stopPhrase: '=', prefill: { stopped: ' 7 is \\boxed{', capped: ' so \\boxed{' } };
  const { thoughts } = await evaluated(
    at('format'),
    { questions: 2 },
    { config: { ...configOf({ questions: 2 }), format } },
  );
  const kept = read<ThoughtRecord[]>(thoughts);
  expect(kept).toHaveLength(2);
  for (const { thought, thoughtEnd, answer } of kept) {
    expect(thoughtEnd).toBe('phrase');
    expect(thought).toMatch(/^[^=]+=$/);
    expect(answer).toMatch(/^\\boxed\{/);
  }
});

test('a set that has changed since is told from the one that was begun', async () => {
  const { questions } = layout.evaluation(at('changed'), task.subject, task.set, task.setting);
  const begun = await evaluated(at('changed'), { questions: 1 });
  const [record] = await readLines<QuestionRecord>(begun.questions);
  writeFileSync(questions, `${JSON.stringify({ ...record, id: 'another' })}\n`);
  rmSync(begun.summary);
  await expect(evaluated(at('changed'), {})).rejects.toThrow(/soft-sample.jsonl:1: expected the question arithmetic/);
});

test('runs of the same base share what came of it', async () => {
  const shared = at('shared');
  const first = await evaluated(at('run-1'), { questions: 2 }, { shared });
  const events: TaskEvent[] = [];
  const second = await evaluated(at('run-2'), { questions: 2 }, { shared, emit: (event) => events.push(event) });
  expect(events).toEqual([]); // nothing was drawn
  expect(readFileSync(second.summary, 'utf8')).toBe(readFileSync(first.summary, 'utf8'));
  // Other k are counted up from the samples that are there.
  const emit = (event: TaskEvent) => events.push(event);
  const third = await evaluated(at('run-3'), { questions: 2, k: [2] }, { shared, emit });
  expect(events).toMatchObject([{ resumed: true, share: 1 }]);
  expect(read<SettingSummary>(third.summary).passAtK).toEqual(read<SettingSummary>(first.summary).passAtK.slice(1));
  events.length = 0;
  // Another seed is another evaluation.
  await evaluated(at('run-4'), { questions: 2, seed: 5 }, { shared, emit });
  expect(events.length).toBeGreaterThan(0);
});
