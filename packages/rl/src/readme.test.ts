import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';
import * as exports from './index.js';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');

test('the example runs and prints what its comments say', async () => {
  const example = /```ts\n(.*?)```/s.exec(readme)![1]!;
  const directory = await mkdtemp(join(tmpdir(), 'readme-'));
  // Outside the sources, and where its imports resolve.
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url));
  const file = join(cache, 'readme-example.ts');
  await mkdir(cache, { recursive: true });
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    const local = example
      .replace("'@soft-tokens/rl'", "'../../src/index.js'")
      .replace("'runs/seven'", JSON.stringify(join(directory, 'seven')));
    await writeFile(file, local);
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    const promised = [...example.matchAll(/^\/\/ (.*)$/gm)].map(([, line]) => line);
    expect(promised.length).toBeGreaterThan(0);
    expect(log.mock.calls.map((values) => values.join(' '))).toEqual(promised);
  } finally {
    log.mockRestore();
    await rm(file, { force: true });
    await rm(directory, { recursive: true });
  }
});

test('the list of exports is complete', () => {
  const listed = [...readme.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(Object.keys(exports).sort());
});
