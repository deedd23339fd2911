import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';

test('the example of the README runs and prints what it says', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const example = readme.match(/```ts\n([\s\S]*?)```/)![1]!;
  const directory = await mkdtemp(join(tmpdir(), 'readme-'));
  // Outside the sources, and where its imports resolve.
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url));
  const file = join(cache, 'readme-example.ts');
  await mkdir(cache, { recursive: true });
  const printed: unknown[][] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((...values) => void printed.push(values));
  try {
    const local = example
      .replace("'@soft-tokens/models'", "'../../src/index.js'")
      .replaceAll("'my-model'", JSON.stringify(join(directory, 'my-model')));
    await writeFile(file, local);
    await import(/* @vite-ignore */ pathToFileURL(file).href);
  } finally {
    log.mockRestore();
    await rm(file, { force: true });
    await rm(directory, { recursive: true });
  }
  expect(printed).toEqual([[[1, 1, 16], 4], [4944]]);
});
