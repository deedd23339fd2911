import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readGsm8k } from './gsm8k.js';
import { splitSolution } from './solution.js';
import { file, fixture as fixtureFile, wholeSet } from './test/files.js';

const fixture = fixtureFile('gsm8k.jsonl');

describe('readGsm8k', () => {
  test('golden: a real row', async () => {
    expect((await readGsm8k(fixture))[1]).toEqual({
      id: 'gsm8k/gsm8k/2',
      question: 'What is fifteen more than a quarter of 48?',
      answer: '27',
      solution: ' A quarter of 48 is 48/4=12.\nThe number is 12+15=27. The final answer is: \\boxed{27}',
    });
  });

  test('answers lose separators, keep signs', async () => {
    expect((await readGsm8k(fixture)).map(({ answer }) => answer)).toEqual(['72', '27', '8', '18', '109200000', '-47']);
  });

  test('gzip gives the same', async () => {
    const packed = file('gsm8k.jsonl', gzipSync(readFileSync(fixture)));
    expect(await readGsm8k(packed)).toEqual(await readGsm8k(fixture));
  });

  test('a row that is only an answer', async () => {
    const path = file('bare.jsonl', '{"question":"1+1?","answer":"#### 2"}');
    expect((await readGsm8k(path))[0]!.solution).toBe(' The final answer is: \\boxed{2}');
  });

  test.each([
    [
      'no-mark.jsonl',
      '{"question":"1+1?","answer":"It is 2"}',
      /no-mark\.jsonl:1: .*"#### " and a number, got "It is 2"/,
    ],
    ['no-number.jsonl', '{"question":"1+1?","answer":"#### two"}', /:1: .*a number/],
    ['no-question.jsonl', '{"answer":"#### 2"}', /:1: question: /],
    ['no-answer.jsonl', '{"question":"1+1?"}', /:1: answer: /],
    ['empty-question.jsonl', '{"question":"","answer":"#### 2"}', /:1: question: /],
    ['not-json.jsonl', 'question,answer', /:1: expected a JSON value/],
  ])('%s is an error', async (name, content, message) => {
    await expect(readGsm8k(file(name, content))).rejects.toThrow(message);
  });
});

const train = wholeSet('gsm8k/train.jsonl.gz');
test.skipIf(train.absent)('the whole training set (skipped where ../shared/data is absent)', async () => {
  const problems = await readGsm8k(train.path);
  expect(problems).toHaveLength(7473);
  expect(problems[2348]!.id).toBe('gsm8k/train/2349');
  for (const { answer, solution } of problems) {
    expect(answer).toMatch(/^-?\d+(\.\d+)?$/);
    expect(solution).not.toMatch(/<<|>>|####/);
    expect(splitSolution(solution!).answer).toBe(`${answer}}`);
  }
});
