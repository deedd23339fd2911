import { describe, expect, test } from 'vitest';
import { readArc } from './arc.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

const hydrosphere = ['sunlight', 'vibrations', 'x-rays', 'pitch'];

describe('readArc', () => {
  test('golden: a real row as an instruction', async () => {
    expect((await readArc(fixture('arcEasy.jsonl')))[0]).toEqual({
      id: 'arc/arcEasy/1',
      context: 'What causes sound?',
      choices: hydrosphere,
      correct: 1,
    });
  });

  test('three to five choices', async () => {
    const counts = async (name: string) => (await readArc(fixture(name))).map(({ choices }) => choices.length);
    expect(await counts('arcEasy.jsonl')).toEqual([4, 4, 5]);
    expect(await counts('arcChallenge.jsonl')).toEqual([4, 4, 3]);
  });

  const labelled = (labels: string) => hydrosphere.map((text, i) => ({ text, label: labels[i]! }));
  test.each([
    [{ id: 'a', question: { stem: 'What causes sound?', choices: labelled('ABCD') }, answerKey: 'B' }],
    [{ id: 'a', question: { stem: 'What causes sound?', choices: labelled('1234') }, answerKey: '2' }],
    [{ id: 'a', question: 'What causes sound?', choices: { text: hydrosphere, label: [...'ABCD'] }, answerKey: 'B' }],
  ])('the original and the hub: %j', async (row) => {
    const context = 'What causes sound?';
    expect(await readArc(rowsFile(row))).toEqual([{ id: 'arc/a', context, choices: hydrosphere, correct: 1 }]);
  });

  test.each([
    [
      { id: 'a', question: 'q', choices: { text: ['x', 'y'], label: ['A', 'B'] }, answerKey: 'C' },
      /among A, B, got "C"/,
    ],
    [
      { id: 'a', question: 'q', choices: { text: ['x', 'y'], label: ['A'] }, answerKey: 'A' },
      /a label for each choice/,
    ],
    [{ id: 'a', question: 'q', choices: { text: ['x'], label: ['A'] }, answerKey: 'A' }, /:1: choices\.text: /],
    [{ id: 'a', question: { stem: 'q', choices: [] }, answerKey: 'A' }, /:1: choices/],
    [{ ...fixtureRows('arcEasy.jsonl')[0], answer: 'answer5' }, /got "answer5"/],
    [{ instruction: 'What?', answer: 'answer1' }, /:1: question: /],
  ])('%j is malformed', async (row, message) => {
    await expect(readArc(rowsFile(row))).rejects.toThrow(message);
  });
});

test.each([
  ['arc_easy/test.public.jsonl', 1188],
  ['arc_challenge/test.public.jsonl', 586],
])('the whole of %s (skipped where ../shared/data is absent)', async (name, count) => {
  const { path, absent } = wholeSet(name);
  if (!absent) expect(await readArc(path)).toHaveLength(count);
});
