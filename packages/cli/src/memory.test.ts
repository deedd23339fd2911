import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { useEngine } from '@soft-tokens/tensor';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { TrainConfig } from './config/recipe.js';
import { describeTrainingMemory, requireTrainingMemory, sizeOf, trainingBytes, trainingSize } from './memory.js';
import { requireRoom } from './run.js';
import { temporaryFolder } from './test/tools.js';

const folder = temporaryFolder();
afterAll(() => {
  vi.unstubAllEnvs();
  folder.remove();
});
beforeAll(async () => {
  vi.stubEnv('SOFT_TOKENS_IGNORE_MEMORY', undefined);
  await useEngine('wasm');
});

const shapes = new Map([
  ['a', [1000, 20]],
  ['b', [30]],
  ['c', []],
]);

test('four numbers for each that is trained, one for each that is frozen', () => {
  expect(sizeOf(shapes)).toEqual({ parameters: 20_031, trained: 20_031 });
  expect(trainingBytes(sizeOf(shapes))).toBe(16 * 20_031);
  expect(sizeOf(shapes, ['a'])).toEqual({ parameters: 20_031, trained: 31 });
  expect(trainingBytes(sizeOf(shapes, ['a']))).toBe(4 * 20_000 + 16 * 31);
});

test('one more for each of a copy that training is held near to, but for the base of fresh adapters', async () => {
  const kl = { coefficient: 1, in: 'reward' } as const;
  const layers = new Map([['model.layers.0.self_attn.q_proj.weight', [8, 8]]]);
  const full = await trainingSize({ model: folder.path, frozen: [], kl }, layers);
  expect(full).toEqual({ parameters: 64, trained: 64, reference: 64 });
  expect(trainingBytes(full)).toBe(20 * 64);
  expect(describeTrainingMemory(full)).toContain("AdamW's moments of them, and a copy for kl; activations");
  const lora = { r: 1, alpha: 1, target: 'all-linear' as const };
  const adapters = await trainingSize({ model: folder.path, frozen: [], kl, lora }, layers);
  expect(adapters).toEqual({ parameters: 80, trained: 16 });
});

test('a line for the reader', () => {
  expect(describeTrainingMemory({ parameters: 134_515_008, trained: 134_515_008 }, 2)).toMatch(
    /^memory: about 2\.2 GB in each process for 134,515,008 parameters in float32 with gradients and AdamW's moments of them; activations come on top; [\d.]+ [GM]B free$/,
  );
  expect(describeTrainingMemory({ parameters: 1e6, trained: 5 })).toContain(
    "about 5 MB for 1,000,000 parameters in float32 with gradients and AdamW's moments of the 5 that are trained;",
  );
});

test('refused: more than the engine holds, more than the machine has', () => {
  const size = (parameters: number) => ({ parameters, trained: parameters });
  requireTrainingMemory('it', size(1e6));
  expect(() => requireTrainingMemory('it', size(3e8))).toThrow(
    /^it: expected about 4\.8 GB of free memory for 300,000,000 parameters in float32 .*choose the engine native/,
  );
  expect(() => requireTrainingMemory('it', size(2e8), 1e6)).toThrow(
    /^it: expected about 3200000\.0 GB of free memory for 1000000 processes, in each 200,000,000 parameters .*; (free|raise)/,
  );
});

test('a run is refused for what it still has to train, in so many processes as it will start', () => {
  const config = { model: 'model', modes: ['hard', 'soft'], workers: 'auto' } as unknown as TrainConfig;
  const fits = { parameters: 1e6, trained: 1e6 };
  const huge = { parameters: 1e15, trained: 1e15 };
  const run = { directory: folder.path, overwrite: false };
  requireRoom(config, fits, run);
  expect(() => requireRoom(config, huge, run)).toThrow('model: expected about');
  for (const mode of ['hard', 'soft']) {
    expect(() => requireRoom(config, huge, run)).toThrow('model: expected about');
    mkdirSync(join(folder.path, mode), { recursive: true });
    writeFileSync(join(folder.path, mode, 'trained.json'), '{}');
  }
  requireRoom(config, huge, run); // finished
  expect(() => requireRoom(config, huge, { ...run, overwrite: true })).toThrow('model: expected about');
});
