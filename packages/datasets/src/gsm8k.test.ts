import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { readGsm8k } from './gsm8k.js';
import { splitSolution } from './solution.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const fixture = here('./__fixtures__/gsm8k.jsonl');
const folder = mkdtempSync(join(tmpdir(), 'gsm8k-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

describe('readGsm8k', () => {
  test('golden: a real row', () => {
    expect(readGsm8k(fixture)[1]).toEqual({
      id: 'gsm8k/gsm8k/2',
      question: 'What is fifteen more than a quarter of 48?',
      answer: '27',
      solution: ' A quarter of 48 is 48/4=12.\nThe number is 12+15=27. The final answer is: \\boxed{27}',
    });
  });

  test('answers lose separators, keep signs', () => {
    expect(readGsm8k(fixture).map(({ answer }) => answer)).toEqual(['72', '27', '8', '18', '109200000', '-47']);
  });

  test('gzip gives the same', () => {
    const packed = file('gsm8k.jsonl', gzipSync(readFileSync(fixture)));
    expect(readGsm8k(packed)).toEqual(readGsm8k(fixture));
  });

  test('a row that is only an answer', () => {
    const path = file('bare.jsonl', '{"question":"1+1?","answer":"#### 2"}');
    expect(readGsm8k(path)[0]!.solution).toBe(' The final answer is: \\boxed{2}');
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
  ])('%s is an error', (name, content, message) => {
    expect(() => readGsm8k(file(name, content))).toThrow(message);
  });
});

const train = here('../../../../shared/data/gsm8k/train.jsonl.gz');
test.skipIf(!existsSync(train))(`the whole training set (skipped where ../shared/data/gsm8k is absent)`, () => {
  const problems = readGsm8k(train);
  expect(problems).toHaveLength(7473);
  expect(problems[2348]!.id).toBe('gsm8k/train/2349');
  for (const { answer, solution } of problems) {
    expect(answer).toMatch(/^-?\d+(\.\d+)?$/);
    expect(solution).not.toMatch(/<<|>>|####/);
    expect(splitSolution(solution!).answer).toBe(`${answer}}`);
  }
});
