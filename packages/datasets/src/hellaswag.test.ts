import { describe, expect, test } from 'vitest';
import { readHellaswag } from './hellaswag.js';
import { fixture, fixtureRows, rowsFile, wholeSet } from './test/files.js';

describe('readHellaswag', () => {
  test('golden: a real row', async () => {
    expect((await readHellaswag(fixture('hellaswag.jsonl')))[0]).toEqual({
      id: 'hellaswag/hellaswag/1',
      context: 'High jump: A boy is running down a track. the boy',
      choices: [
        'runs into a car.',
        'gets in a mat.',
        'lifts his body above the height of a pole.',
        'stands on his hands and springs.',
      ],
      correct: 2,
    });
  });

  test('original rows are prepared as by lm-evaluation-harness', async () => {
    // What its process_docs gives for this row, run on it in Python.
    const row = {
      activity_label: 'Home and Garden',
      ctx_a: '[header] How to mend  a fence [title] Look at it. [step] Walk around.',
      ctx_b: 'then DO it',
      ctx: 'ignored where the halves are there',
      endings: ['[substeps] Dig [title] Rest.', ' a ', 'b', 'c'],
      label: '1',
    };
    expect((await readHellaswag(rowsFile(row)))[0]).toEqual({
      id: 'hellaswag/rows/1',
      context: 'Home and Garden: How to mend a fence. Look at it. Walk around. Then do it',
      choices: [' Dig. Rest.', 'a', 'b', 'c'],
      correct: 1,
    });
  });

  test.each([
    [{ label: '' }, /:1: label: /],
    [{ label: 4 }, /:1: expected the right answer among 0, 1, 2, 3, got "4"/],
    [{ endings: ['a', 'b', 'c'] }, /:1: endings: /],
    [{ ctx: undefined }, /:1: ctx_a: /],
  ])('%j is malformed', async (wrong, message) => {
    const row = { ...fixtureRows('hellaswag.jsonl')[0], ...wrong };
    await expect(readHellaswag(rowsFile(row))).rejects.toThrow(message);
  });
});

const whole = wholeSet('hellaswag/val.public.jsonl.gz');
test.skipIf(whole.absent)('the whole set (skipped where ../shared/data is absent)', async () => {
  expect(await readHellaswag(whole.path)).toHaveLength(5021);
});
