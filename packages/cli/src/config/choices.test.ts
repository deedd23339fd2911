import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { arithmeticChoices } from '@soft-tokens/datasets';
import { loadTokenizer, tinyModelDirectory } from '@soft-tokens/models';
import { expect, test } from 'vitest';
import { choicesOf, toChoiceItem } from './choices.js';
import type { ChoicesConfig } from './recipe.js';

const tokenizer = await loadTokenizer(tinyModelDirectory);
const fixtures = fileURLToPath(new URL('../../../datasets/src/__fixtures__/', import.meta.url));
const shared = fileURLToPath(new URL('../../../../../shared/data/', import.meta.url));

const textOf = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });

test.each([
  ['hellaswag', 'hellaswag.jsonl', 'High jump: A boy is running down a track. the boy', ' gets in a mat.'],
  ['arc', 'arcEasy.jsonl', 'Question: What causes sound?\nAnswer:', ' vibrations'],
  ['mmlu', 'mmlu.jsonl', /^The following are [^.]* about abstract algebra\.\n\nFind.*D\. 30\nAnswer:$/s, ' B'],
] as const)('%s is put in its own words', async (kind, name, context, second) => {
  const choices = await choicesOf({ kind, test: join(fixtures, name), limit: 1 });
  expect(choices).toHaveLength(1);
  const item = toChoiceItem(kind, choices[0]!, 'paper', tokenizer);
  if (typeof context === 'string') expect(textOf(item.contextIds)).toBe(context);
  else expect(textOf(item.contextIds)).toMatch(context);
  expect(textOf(item.choices[1]!.ids)).toBe(second);
  expect(item.correct).toBe(choices[0]!.correct);
});

test('worked solutions stand after the prompt of the recipe', async () => {
  const [choice, ...others] = await choicesOf({ kind: 'arithmetic', levels: [4], test: 3, seed: 7 });
  expect([choice, ...others]).toEqual(arithmeticChoices({ split: 'test', levels: [4], count: 3, seed: 7 }));
  const item = toChoiceItem('arithmetic', choice!, 'plain', tokenizer);
  expect(textOf(item.contextIds)).toBe(`User: ${choice!.context} Assistant:`);
  expect(item.choices.map(({ ids }) => textOf(ids))).toEqual(choice!.choices);
  expect(textOf(toChoiceItem('arithmetic', choice!, 'paper', tokenizer).contextIds)).toMatch(/^A conversation/);
});

test('malformed rows are told, as far as they may be left out', async () => {
  const path = join(fixtures, 'mmlu.jsonl'); // no rows of ARC
  await expect(choicesOf({ kind: 'arc', test: path })).rejects.toThrow(/mmlu\.jsonl:1: /);
  const notes: string[] = [];
  const all = readFileSync(path, 'utf8').trim().split('\n').length;
  const reading = choicesOf({ kind: 'arc', test: path, maxMalformed: all }, (note) => notes.push(note));
  await expect(reading).rejects.toThrow(/expected at least one question, got none/);
  expect(notes.join()).toContain(`${all} malformed rows left out`);
});

test.each([
  ['hellaswag', 'hellaswag/val.public.jsonl.gz'],
  ['arc', 'arc_challenge/test.public.jsonl'],
  ['mmlu', 'mmlu/test.public.jsonl.gz'],
] as [Exclude<ChoicesConfig['kind'], 'arithmetic'>, string][])(
  '%s: context and choice together are the whole text (skipped where ../shared/data is absent)',
  async (kind, name) => {
    if (!existsSync(join(shared, name))) return console.info(`skipped: ${name} is not there`);
    const choices = await choicesOf({ kind, test: join(shared, name), limit: 200 });
    for (const choice of choices) {
      const { contextIds, choices: scored } = toChoiceItem(kind, choice, 'plain', tokenizer);
      for (const [j, { ids, characters }] of scored.entries()) {
        expect(ids.length).toBeGreaterThan(0);
        expect(characters).toBe([...(kind === 'mmlu' ? 'A' : choice.choices[j]!)].length);
        expect(textOf([...contextIds, ...ids])).toContain(kind === 'mmlu' ? 'Answer: ' : choice.choices[j]!);
      }
    }
  },
);
