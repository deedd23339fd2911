import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readQuestions } from './custom.js';

const folder = mkdtempSync(join(tmpdir(), 'custom-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(...rows: unknown[]): string {
  writeFileSync(join(folder, 'mine.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  return join(folder, 'mine.jsonl');
}

const fields = { question: 'problem', answer: 'answer' };

describe('readQuestions', () => {
  test('takes the named fields, numbers as their shortest text', () => {
    const path = file({ problem: 'What is x?', answer: 36.0, url: 'ignored' }, { problem: 'And y?', answer: '1/2' });
    expect(readQuestions(path, fields)).toEqual([
      { id: 'mine/1', question: 'What is x?', answer: '36' },
      { id: 'mine/2', question: 'And y?', answer: '1/2' },
    ]);
  });

  test('ids and solutions', () => {
    const path = file({ n: 7, problem: 'q', answer: '1', work: ' s' });
    expect(readQuestions(path, { ...fields, id: 'n', solution: 'work' })).toEqual([
      { id: '7', question: 'q', answer: '1', solution: ' s' },
    ]);
  });

  test.each([
    [{ question: 'q', answer: '1' }, /mine\.jsonl:2: expected a field "problem", got the fields: question, answer/],
    [{}, /got the fields: none/],
    [{ problem: 5, answer: '1' }, /:2: expected "problem" to hold text, got 5/],
    [{ problem: 'q', answer: ' ' }, /:2: expected "answer" to hold text or a number, got " "/],
    [{ problem: 'q', answer: null }, /got null/],
    [['q'], /:2: the row: /],
  ])('%j is an error', (row, message) => {
    const path = file({ problem: 'q', answer: '1' }, row);
    expect(() => readQuestions(path, fields)).toThrow(message);
  });

  test('a field that only objects in general have is missing', () => {
    expect(() => readQuestions(file({ answer: '1' }), { ...fields, question: 'toString' })).toThrow('expected a field');
  });

  test('two rows with one id are an error', () => {
    const path = file({ problem: 'q', answer: '1', n: 'a' }, { problem: 'r', answer: '2', n: 'a' });
    expect(() => readQuestions(path, { ...fields, id: 'n' })).toThrow(
      ':2: expected ids that differ, got "a", as on line 1',
    );
  });
});
