import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { loadTokenizer } from '@soft-tokens/models';
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder, tokenizerDirectory } from '../test/tools.js';
import { problemsOf, promptText, toDemonstration, toQuestion } from './data.js';

const folder = temporaryFolder();
afterAll(folder.remove);

// Rows of GSM8K's train.jsonl, lines 2349 and after, shortened.
const row = (n: number) => ({
  question: `What is ${n} more than 1?`,
  answer: `1+${n}=<<1+${n}=${n + 1}>>${n + 1}\n#### ${n + 1}`,
});
const gsm8k = join(folder.path, 'train.jsonl.gz');
writeFileSync(gsm8k, gzipSync(Array.from({ length: 10 }, (_, n) => JSON.stringify(row(n))).join('\n')));

test('validation is held out of the training file', () => {
  const data = { kind: 'gsm8k', train: gsm8k, validation: 3, seed: 1 } as const;
  const train = problemsOf(data, 'train').map(({ id }) => id);
  const validation = problemsOf(data, 'validation').map(({ id }) => id);
  expect([train.length, validation.length]).toEqual([7, 3]);
  expect(new Set([...train, ...validation]).size).toBe(10);
});

test('errors name the key or the line', () => {
  const data = { kind: 'gsm8k', train: gsm8k, validation: 10, seed: 1 } as const;
  expect(() => problemsOf(data, 'train')).toThrow('data.validation: expected fewer than the 10 problems');
  expect(() => problemsOf(data, 'test')).toThrow('data.test: expected a file, got none; give --set data.test=FILE');
  const bad = join(folder.path, 'bad.jsonl');
  writeFileSync(bad, `${JSON.stringify(row(1))}\n{"question": "no answer"}\n`);
  expect(() => problemsOf({ ...data, test: bad }, 'test')).toThrow(/bad\.jsonl:2/);
  expect(() =>
    problemsOf({ kind: 'arithmetic', levels: [1], train: 0, validation: 1, test: 1, seed: 1 }, 'train'),
  ).toThrow('data.train: expected at least one problem, got none');
});

test('an answer that nothing can equal is an error before training', () => {
  const file = join(folder.path, 'own.jsonl');
  const data = {
    kind: 'questions',
    test: file,
    validation: 0,
    seed: 1,
    fields: { question: 'q', answer: 'a', id: 'id' },
  } as const;
  const write = (answer: string) =>
    writeFileSync(
      file,
      [
        { id: 'good', q: 'Q', a: '1' },
        { id: 'bad', q: 'Q', a: answer },
      ]
        .map((row) => JSON.stringify(row))
        .join('\n'),
    );
  for (const answer of ['$.$', '\\boxed{}', '1'.repeat(1001)]) {
    write(answer);
    expect(() => problemsOf(data, 'test')).toThrow(
      /own\.jsonl: .*bad: expected an answer of 1 to 1000 characters, got .*; mend/,
    );
  }
  write('1'.repeat(1000));
  expect(problemsOf(data, 'test')).toHaveLength(2);
});

test('a demonstration is cut where decoding cuts', async () => {
  const tokenizer = await loadTokenizer(tokenizerDirectory);
  const [problem] = problemsOf({ kind: 'gsm8k', train: gsm8k, validation: 0, seed: 1 }, 'train');
  const { promptIds, thoughtIds, answerIds } = toDemonstration(problem!, 'plain', tokenizer);
  expect(tokenizer.decode(promptIds)).toBe('User: What is 0 more than 1? Assistant:');
  expect(tokenizer.decode(thoughtIds)).toBe(' 1+0=1 The final answer is:');
  expect(tokenizer.decode(answerIds)).toBe(`\\boxed{1}${tokenizer.decode(tokenizer.endIds.slice(0, 1))}`);
  expect(toQuestion(problem!, 'plain', tokenizer)).toEqual({ id: problem!.id, promptIds, answer: '1' });
  expect(() => toDemonstration({ id: 'x', question: 'q', answer: '1' }, 'plain', tokenizer)).toThrow(
    'x: expected a worked solution',
  );
});

test("the paper prompt is its template, the chat prompt the tokenizer's own", async () => {
  const tokenizer = await loadTokenizer(tokenizerDirectory);
  expect(promptText('paper', 'Q?', tokenizer)).toMatch(
    /^A conversation between User and Assistant\..*User: Q\? Assistant:$/,
  );
  const chatty = {
    ...tokenizer,
    renderChat: (messages: readonly { role: string; content: string }[]) =>
      `<${messages[0]!.role}> ${messages[0]!.content}`,
  };
  expect(promptText('chat', 'Q?', chatty)).toMatch(
    /^<user> Q\?\n\nReason step by step, .*The final answer is: \\boxed\{ANSWER\}/,
  );
});
