import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { verify } from '@soft-tokens/metrics';
import { loadTokenizer } from '@soft-tokens/models';
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder, tokenizerDirectory } from '../test/tools.js';
import { problemsOf, promptText, toDemonstration, toQuestion } from './data.js';
import { fileSets } from './recipe.js';

const folder = temporaryFolder();
afterAll(folder.remove);

// Rows of GSM8K's train.jsonl, lines 2349 and after, shortened.
const row = (n: number) => ({
  question: `What is ${n} more than 1?`,
  answer: `1+${n}=<<1+${n}=${n + 1}>>${n + 1}\n#### ${n + 1}`,
});
const gsm8k = join(folder.path, 'train.jsonl.gz');
writeFileSync(gsm8k, gzipSync(Array.from({ length: 10 }, (_, n) => JSON.stringify(row(n))).join('\n')));

test('validation is held out of the training file', async () => {
  const data = { kind: 'gsm8k', train: gsm8k, validation: 3, seed: 1 } as const;
  const train = (await problemsOf(data, 'train')).map(({ id }) => id);
  const validation = (await problemsOf(data, 'validation')).map(({ id }) => id);
  expect([train.length, validation.length]).toEqual([7, 3]);
  expect(new Set([...train, ...validation]).size).toBe(10);
});

test('errors name the key or the line', async () => {
  const data = { kind: 'gsm8k', train: gsm8k, validation: 10, seed: 1 } as const;
  await expect(problemsOf(data, 'train')).rejects.toThrow('data.validation: expected fewer than the 10 problems');
  await expect(problemsOf(data, 'test')).rejects.toThrow(
    'data.test: expected a file, got none; give --set data.test=FILE',
  );
  const bad = join(folder.path, 'bad.jsonl');
  writeFileSync(bad, `${JSON.stringify(row(1))}\n{"question": "no answer"}\n`);
  await expect(problemsOf({ ...data, test: bad }, 'test')).rejects.toThrow(/bad\.jsonl:2/);
  await expect(
    problemsOf({ kind: 'arithmetic', levels: [1], train: 0, validation: 1, test: 1, seed: 1 }, 'train'),
  ).rejects.toThrow('data.train: expected at least one problem, got none');
});

test('malformed rows stop a run above the limit, and are told of within it', async () => {
  const file = join(folder.path, 'mixed.jsonl');
  writeFileSync(file, [row(1), { question: 'no answer' }, row(2)].map((each) => JSON.stringify(each)).join('\n'));
  const data = { kind: 'gsm8k', test: file, validation: 0, seed: 1 } as const;
  await expect(problemsOf(data, 'test')).rejects.toThrow(
    /at most 0 malformed rows, got 1 of 3:\n.*mixed\.jsonl:2: answer/,
  );
  const notes: string[] = [];
  expect(await problemsOf({ ...data, maxMalformed: 1 }, 'test', (text) => notes.push(text))).toHaveLength(2);
  expect(notes.join('')).toMatch(/mixed\.jsonl: 1 malformed rows left out:\n.*mixed\.jsonl:2: answer/);
});

const fixtures = fileURLToPath(new URL('../../../datasets/src/__fixtures__/', import.meta.url));
const shared = fileURLToPath(new URL('../../../../../shared/data/', import.meta.url));

/** Real rows of each set, and where the whole of it may lie: [kind, fixture, whole files, rows malformed in each]. */
const realSets = [
  ['gsm8k', 'gsm8k.jsonl', { 'gsm8k/train.jsonl.gz': 0, 'gsm8k/test.public.jsonl': 0 }],
  ['math', 'math.jsonl', { 'math/train.jsonl.gz': 2, 'math/test.public.jsonl.gz': 0 }],
  ['math500', 'math500.jsonl', { 'math500/test.public.jsonl': 0 }],
  [
    'deepscaler',
    'deepscalerVerl.jsonl',
    { 'deepscaler/train_math.jsonl.gz': 4, 'deepscaler/train_aime.jsonl.gz': 0, 'deepscaler/dsr_sub.jsonl': 2 },
  ],
  ['olympiadbench', 'olympiadbench.jsonl', { 'olympiadbench/test.public.jsonl': 0 }],
  ['aime', 'aime24.jsonl', { 'aime24/test.public.jsonl': 0, 'aime25/test.public.jsonl': 0 }],
  ['amc', 'amc23.jsonl', { 'amc23/test.public.jsonl': 0 }],
] as const;

/** Ids of problems whose answer, in a box, the verifier does not take for itself. */
async function unverified(kind: (typeof realSets)[number][0], test: string, maxMalformed: number): Promise<string[]> {
  const problems = await problemsOf({ kind, test, maxMalformed, validation: 0, seed: 1 }, 'test');
  return problems.filter(({ answer }) => !verify(`\\boxed{${answer}}`, answer).correct).map(({ id }) => id);
}

test('the sets in files are all tried', () => expect(realSets.map(([kind]) => kind)).toEqual(fileSets));

test.each(realSets)('answers of %s are equal to themselves', async (kind, name) => {
  expect(await unverified(kind, join(fixtures, name), 0)).toEqual([]);
});

test.skipIf(!existsSync(shared))('and those of whole sets (skipped where ../shared/data is absent)', async () => {
  for (const [kind, , files] of realSets) {
    for (const [file, malformed] of Object.entries(files)) {
      expect(await unverified(kind, join(shared, file), malformed)).toEqual([]);
    }
  }
});

test('an answer that nothing can equal is an error before training', async () => {
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
    await expect(problemsOf(data, 'test')).rejects.toThrow(
      /own\.jsonl: .*bad: expected an answer of 1 to 1000 characters, got .*; mend/,
    );
  }
  write('1'.repeat(1000));
  expect(await problemsOf(data, 'test')).toHaveLength(2);
});

test('a demonstration is cut where decoding cuts', async () => {
  const tokenizer = await loadTokenizer(tokenizerDirectory);
  const [problem] = await problemsOf({ kind: 'gsm8k', train: gsm8k, validation: 0, seed: 1 }, 'train');
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
