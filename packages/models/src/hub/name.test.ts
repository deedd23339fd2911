import { expect, test } from 'vitest';
import { formatHubName, isSafePath, parseHubName } from './name.js';

test.each([
  ['Qwen/Qwen2.5-0.5B', { id: 'Qwen/Qwen2.5-0.5B', revision: 'main' }],
  ['a/b@v1.0', { id: 'a/b', revision: 'v1.0' }],
  ['a/b@refs/pr/1', { id: 'a/b', revision: 'refs/pr/1' }],
  ['a/b:q/x-Q4_0.gguf', { id: 'a/b', revision: 'main', file: 'q/x-Q4_0.gguf' }],
  ['a/b@v1:x.GGUF', { id: 'a/b', revision: 'v1', file: 'x.GGUF' }],
])('%s', (text, name) => {
  expect(parseHubName(text)).toEqual(name);
  expect(parseHubName(formatHubName(parseHubName(text)))).toEqual(name);
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
])('%j is no name', (text) => {
  expect(() => parseHubName(text)).toThrow(/expected the name of a model on the hub.*; write ORG\/NAME/);
});

test('paths that stay inside', () => {
  for (const path of ['config.json', 'a/b c/ü.txt', '.gitattributes', 'x..y', 'a:b']) {
    expect([path, isSafePath(path)]).toEqual([path, path !== 'a:b']);
  }
  for (const path of ['', '/x', '../x', 'a/../x', 'a/..', './a', 'a//b', 'a\\..\\x', 'C:x', 'a/C:/x', 'a\0', 'a\n']) {
    expect([path, isSafePath(path)]).toEqual([path, false]);
  }
});
