import { expect, test } from 'vitest';
import { CliError } from '../errors.js';
import { collectSettings, parseSetting } from './set.js';

test.each([
  ['steps=10', ['steps'], 10],
  ['optimizer.learningRate=1e-5', ['optimizer', 'learningRate'], 1e-5],
  ['modes=[hard, soft]', ['modes'], ['hard', 'soft']],
  ['caps={thought: 3}', ['caps'], { thought: 3 }],
  ['data.train=a=b.jsonl', ['data', 'train'], 'a=b.jsonl'],
  ['evaluate=', ['evaluate'], null],
  ['prompt="3"', ['prompt'], '3'],
  ['prompt=no', ['prompt'], 'no'],
])('%s', (text, path, value) => {
  expect(parseSetting(text)).toEqual({ text, path, value });
});

test.each(['steps', '=3', 'a..b=1', 'modes=[hard'])('%s is refused', (text) => {
  expect(() => parseSetting(text)).toThrow(CliError);
  expect(() => parseSetting(text)).toThrow(/^--set/);
});

test('flags add up in their order', () => {
  expect(collectSettings('b=2', collectSettings('a=1')).map(({ text }) => text)).toEqual(['a=1', 'b=2']);
});
