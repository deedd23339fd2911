import { expect, test } from 'vitest';
import { formatHubName, isDataName, isSafePath, parseDataName, parseHubName } from './name.js';

test.each([
  ['Qwen/Qwen2.5-0.5B', { id: 'Qwen/Qwen2.5-0.5B', revision: 'main' }],
  ['a/b@v1.0', { id: 'a/b', revision: 'v1.0' }],
  ['a/b@refs/pr/1', { id: 'a/b', revision: 'refs/pr/1' }],
  ['a/b:q/x-Q4_0.gguf', { id: 'a/b', revision: 'main', file: 'q/x-Q4_0.gguf' }],
  ['a/b@v1:x.GGUF', { id: 'a/b', revision: 'v1', file: 'x.GGUF' }],
])('%s', (text, name) => {
  expect(parseHubName(text)).toEqual({ kind: 'model', ...name });
  expect(formatHubName(parseHubName(text))).toBe(text);
});

test.each([
  '',
  'gpt2',
  'a/b/c',
  '../..',
  'a/..',
  './b',
  '/etc/passwd',
  'a\\b/c',
  'a/b\0',
  'a/b\n',
  'a--b/c',
  'a/b.git',
  '-a/b',
  'a/b.',
  `a/${'b'.repeat(97)}`,
  'a/b@',
  'a/b@../../x',
  'a/b@/x',
  'a/b@x..y',
  'a/b@x/',
  'a/b@-x',
  'a/b@x\0',
  'a/b@x@y',
  'a/b:x.safetensors',
  'a/b:../x.gguf',
  'a/b:/x.gguf',
  'a/b:c:\\x.gguf',
  'a/b:',
  'hf://datasets/a/b/x.jsonl',
])('%j is no name', (text) => {
  expect(() => parseHubName(text)).toThrow(/expected the name of a model on the hub.*; write ORG\/NAME/);
});

// As huggingface_hub 2.4.0 reads them, parse_hf_uri().
test.each([
  ['hf://datasets/openai/gsm8k/main/x.parquet', { id: 'openai/gsm8k', revision: 'main', file: 'main/x.parquet' }],
  ['hf://datasets/a/b@v1.0/x.jsonl', { id: 'a/b', revision: 'v1.0', file: 'x.jsonl' }],
  ['hf://datasets/a/b@refs/pr/12/d/x', { id: 'a/b', revision: 'refs/pr/12', file: 'd/x' }],
  ['hf://datasets/a/b@refs/convert/parquet/x', { id: 'a/b', revision: 'refs/convert/parquet', file: 'x' }],
  ['hf://datasets/a/b@feature%2Fnew/x', { id: 'a/b', revision: 'feature/new', file: 'x' }],
  ['hf://datasets/a/b/x@1.jsonl', { id: 'a/b', revision: 'main', file: 'x@1.jsonl' }],
  ['hf://datasets/a/b/x y%20:*.jsonl', { id: 'a/b', revision: 'main', file: 'x y%20:*.jsonl' }],
  ['hf://datasets/a/b', { id: 'a/b', revision: 'main' }],
  ['hf://datasets/a/b@v1', { id: 'a/b', revision: 'v1' }],
])('%s', (text, name) => {
  expect(parseDataName(text)).toEqual({ kind: 'dataset', ...name });
  expect(formatHubName(parseDataName(text))).toBe(text);
  expect(isDataName(text)).toBe(true);
});

test.each([
  ['hf://datasets/a/b@refs%2Fconvert%2Fparquet/x', 'hf://datasets/a/b@refs/convert/parquet/x'],
  ['hf://datasets/a/b@main/x', 'hf://datasets/a/b/x'],
  ['hf://datasets/a/b/d/', 'hf://datasets/a/b/d'],
  ['hf://datasets/a/b/', 'hf://datasets/a/b'],
])('%s is %s', (text, same) => {
  expect(formatHubName(parseDataName(text))).toBe(same);
});

test.each([
  '',
  'a/b',
  'hf://a/b/x',
  'hf://models/a/b/x',
  'hf://dataset/a/b/x',
  'hf://datasets',
  'hf://datasets/squad',
  'hf://datasets//b/x',
  'hf://datasets/../../x',
  'hf://datasets/a/../x',
  'hf://datasets/a/b/../x',
  'hf://datasets/a/b/x/../../../../y',
  'hf://datasets/a/b//etc/passwd',
  'hf://datasets/a/b/x//',
  'hf://datasets/a/b/.',
  'hf://datasets/a/b/x\\..\\y',
  'hf://datasets/a/b/C:/x',
  'hf://datasets/a/b/x\0',
  'hf://datasets/a/b/x\ny',
  'hf://datasets/a--b/c/x',
  'hf://datasets/a/b@/x',
  'hf://datasets/a/b@../x',
  'hf://datasets/a/b@..%2F..%2Fx/y',
  'hf://datasets/a/b@%2Fx/y',
  'hf://datasets/a/b@x%00/y',
  'hf://datasets/a/b@%/y',
  'hf://datasets/a/b@%ff/y',
  'hf://datasets/a/b@x@y/z',
  'hf://datasets/a%2Fb/c/x',
])('%j is no name of data', (text) => {
  expect(() => parseDataName(text)).toThrow(
    /expected the name of a file of a data set on the hub.*; write hf:\/\/datasets/,
  );
});

test('paths are no names of data', () => {
  for (const text of ['x.jsonl', '/x', 'hf:/x', './hf://x', 'C:\\x']) expect(isDataName(text)).toBe(false);
});

test('paths that stay inside', () => {
  for (const path of ['config.json', 'a/b c/ü.txt', '.gitattributes', 'x..y', 'a:b']) {
    expect([path, isSafePath(path)]).toEqual([path, path !== 'a:b']);
  }
  for (const path of ['', '/x', '../x', 'a/../x', 'a/..', './a', 'a//b', 'a\\..\\x', 'C:x', 'a/C:/x', 'a\0', 'a\n']) {
    expect([path, isSafePath(path)]).toEqual([path, false]);
  }
});
