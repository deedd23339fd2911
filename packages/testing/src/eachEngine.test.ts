import { afterAll, describe, expect, test } from 'vitest';
import { eachEngine } from './eachEngine.js';

let chosen = '';
const seen: [described: string, run: string][] = [];
const useEngine = async (name: 'tensorflow' | 'wasm' | 'cpu') => {
  if (name === 'tensorflow') throw new Error('not installed');
  chosen = name;
};

describe('eachEngine', () => {
  eachEngine(
    useEngine,
    (engine) => {
      const atDescribe = chosen;
      test('runs with its engine chosen', () => {
        seen.push([atDescribe, chosen]);
        expect(chosen).toBe(engine);
      });
    },
    ['tensorflow', 'wasm', 'cpu'],
  );

  afterAll(() => {
    expect(seen).toEqual([
      ['wasm', 'wasm'],
      ['cpu', 'cpu'],
    ]);
  });
});
