import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readReadme } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import * as exports from './index.js';

const readme = await readReadme(import.meta.url);

test('the example runs and prints what its comments say', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'readme-'));
  try {
    const printed = await readme.run({ "'runs/seven'": JSON.stringify(join(directory, 'seven')) });
    const promised = [...readme.example.matchAll(/^\/\/ (.*)$/gm)].map(([, line]) => line);
    expect(promised.length).toBeGreaterThan(0);
    expect(printed.map((values) => values.join(' '))).toEqual(promised);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the list of exports is complete', () => {
  expect(readme.listed).toEqual(Object.keys(exports).sort());
});
