import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { readQuestions } from './custom.js';
import { file, rowsFile } from './test/files.js';

const fields = { question: 'problem', answer: 'answer' };

describe('readQuestions', () => {
  test('takes the named fields, numbers as their shortest text', async () => {
    const path = rowsFile(
      { problem: 'What is x?', answer: 36.0, url: 'ignored' },
      { problem: 'And y?', answer: '1/2' },
    );
    expect(await readQuestions(path, fields)).toEqual([
      { id: 'rows/1', question: 'What is x?', answer: '36' },
      { id: 'rows/2', question: 'And y?', answer: '1/2' },
    ]);
  });

  test('Parquet needs no more than a path and two field names', async () => {
    const columnData = [
      { name: 'problem', data: ['What is x?', 'And y?'] },
      { name: 'answer', data: [36, 0.5], type: 'DOUBLE' as const },
    ];
    const path = file('mine.parquet', new Uint8Array(parquetWriteBuffer({ columnData })));
    expect(await readQuestions(path, fields)).toEqual([
      { id: 'mine/1', question: 'What is x?', answer: '36' },
      { id: 'mine/2', question: 'And y?', answer: '0.5' },
    ]);
  });

  test('ids and solutions', async () => {
    const path = rowsFile({ n: 7, problem: 'q', answer: '1', work: ' s' });
    expect(await readQuestions(path, { ...fields, id: 'n', solution: 'work' })).toEqual([
      { id: '7', question: 'q', answer: '1', solution: ' s' },
    ]);
  });

  test.each([
    [{ question: 'q', answer: '1' }, /rows\.jsonl:2: expected a field "problem", got the fields: question, answer/],
    [{}, /got the fields: none/],
    [{ problem: 5, answer: '1' }, /:2: expected "problem" to hold text, got 5/],
    [{ problem: 'q', answer: ' ' }, /:2: expected "answer" to hold text or a number, got " "/],
    [{ problem: 'q', answer: null }, /got null/],
    [['q'], /:2: the row: /],
  ])('%j is an error', async (row, message) => {
    const path = rowsFile({ problem: 'q', answer: '1' }, row);
    await expect(readQuestions(path, fields)).rejects.toThrow(message);
  });

  test('a field that only objects in general have is missing', async () => {
    await expect(readQuestions(rowsFile({ answer: '1' }), { ...fields, question: 'toString' })).rejects.toThrow(
      'expected a field',
    );
  });

  test('two rows with one id are an error', async () => {
    const path = rowsFile({ problem: 'q', answer: '1', n: 'a' }, { problem: 'r', answer: '2', n: 'a' });
    await expect(readQuestions(path, { ...fields, id: 'n' })).rejects.toThrow(
      ':2: expected ids that differ, got "a", as on line 1',
    );
  });
});
