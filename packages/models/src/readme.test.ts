import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readReadme } from '@soft-tokens/testing';
import { expect, test } from 'vitest';

test('the example of the README runs and prints what it says', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'readme-'));
  try {
    const { run } = await readReadme(import.meta.url);
    const printed = await run({ "'my-model'": JSON.stringify(join(directory, 'my-model')) });
    expect(printed).toEqual([[[1, 1, 16], 4], [4944]]);
  } finally {
    await rm(directory, { recursive: true });
  }
});
