import { expect, test } from 'vitest';
import { threadsEach, workerCount } from './engine.js';

test('as many processes as there are cores and memory for', () => {
  const count = (wanted: 'auto' | number, engine: 'native' | 'wasm' | 'tensorflow', bytes: number) =>
    workerCount(wanted, engine, bytes, { cores: 8, free: 16e9 });
  expect(count('auto', 'wasm', 1e6)).toBe(8);
  expect(count('auto', 'wasm', 4e9)).toBe(2); // 0.8 · 16 / (1.25 · 4) = 2.56
  expect(count('auto', 'wasm', 1e11)).toBe(1);
  expect(count('auto', 'tensorflow', 1e6)).toBe(1);
  expect(count('auto', 'native', 1e6)).toBe(8);
  expect(count(3, 'wasm', 1e11)).toBe(3);
});

test('processes share the cores out', () => {
  const before = process.env.SOFT_TOKENS_THREADS;
  delete process.env.SOFT_TOKENS_THREADS;
  expect(threadsEach(2, 8)).toBe(4);
  expect(threadsEach(3, 2)).toBe(1);
  process.env.SOFT_TOKENS_THREADS = '5';
  expect(threadsEach(2, 8)).toBeUndefined();
  if (before === undefined) delete process.env.SOFT_TOKENS_THREADS;
  else process.env.SOFT_TOKENS_THREADS = before;
});
