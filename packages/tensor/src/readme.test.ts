import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';
import * as exports from './index.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

test('the example runs and prints what its comments say', async () => {
  const source = /```ts\n(.*?)```/s.exec(readme)![1]!;
  // Outside the sources, and where its imports resolve.
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url));
  const file = join(cache, 'readme-example.ts');
  mkdirSync(cache, { recursive: true });
  writeFileSync(file, source.replace("'@soft-tokens/tensor'", "'../../src/index.js'"));
  const print = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    const printed = print.mock.calls.map(([value]) => JSON.stringify(value));
    const promised = [...source.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, comment]) => comment);
    expect(promised.length).toBeGreaterThan(0);
    expect(printed).toEqual(promised);
  } finally {
    print.mockRestore();
    rmSync(file, { force: true });
  }
});

test('the list of exports is complete', () => {
  const listed = [...readme.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(Object.keys(exports).sort());
});
