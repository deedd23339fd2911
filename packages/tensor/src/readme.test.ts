import { readReadme } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import * as exports from './index.js';

const readme = await readReadme(import.meta.url);

test('the example runs and prints what its comments say', async () => {
  expect(readme.promised.length).toBeGreaterThan(0);
  expect((await readme.run()).map(([value]) => JSON.stringify(value))).toEqual(readme.promised);
});

test('the list of exports is complete', () => {
  expect(readme.listed).toEqual(Object.keys(exports).sort());
});
