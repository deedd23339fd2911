import { expect, test } from 'vitest';
import { workerCount } from './engine.js';

test('as many processes as there are cores and memory for', () => {
  const count = (wanted: 'auto' | number, engine: 'wasm' | 'tensorflow', bytes: number) =>
    workerCount(wanted, engine, bytes, { cores: 8, free: 16e9 });
  expect(count('auto', 'wasm', 1e6)).toBe(8);
  expect(count('auto', 'wasm', 1e9)).toBe(2); // 0.8 · 16 / (5 · 1) = 2.56
  expect(count('auto', 'wasm', 1e11)).toBe(1);
  expect(count('auto', 'tensorflow', 1e6)).toBe(1);
  expect(count(3, 'wasm', 1e11)).toBe(3);
});
