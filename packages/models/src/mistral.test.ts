import { readSafetensors, useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import { createCausalLM } from './causalLM.js';
import { readJson } from './files.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { embedded, fixture, testParity } from './test/parity.js';
import type { WeightValues } from './weightSource.js';

testParity('mistral-window');

test('a window is 4096 where the file does not say, and none where it says null', async () => {
  const { sliding_window, ...config } = await readJson(`${fixture('mistral-window')}/config.json`);
  const windowOf = (raw: object) => mistral.parseConfig({ ...config, ...raw }, 'config.json').slidingWindow;
  expect(sliding_window).toBe(5);
  expect(windowOf({ sliding_window })).toBe(5);
  expect(windowOf({})).toBe(4096);
  expect(windowOf({ sliding_window: null })).toBeUndefined();
  expect(() => windowOf({ sliding_window: 0 })).toThrow('config.json: sliding_window');
});

eachEngine(
  useEngine,
  () => {
    test('without a window, or with one as long as the sequence, it is Llama', async () => {
      const directory = fixture('mistral-window');
      const config = await readJson(`${directory}/config.json`);
      const weights = (await readSafetensors(`${directory}/model.safetensors`)) as Record<string, WeightValues>;
      const { sliding_window, ...shared } = config;
      const ids = [1, 5, 3, 7, 2, 2, 9, 30];
      const states = (model: ReturnType<typeof createCausalLM>) => {
        const hidden = model.forward(embedded(model, ids)).dataSync();
        model.dispose();
        return hidden;
      };
      const want = states(createCausalLM(llama, { ...shared, model_type: 'llama' }, weights));
      for (const sliding_window of [null, 8, 4096]) {
        expect(states(createCausalLM(mistral, { ...shared, sliding_window }, weights))).toEqual(want);
      }
      expect(states(createCausalLM(mistral, { ...shared, sliding_window: 7 }, weights))).not.toEqual(want);
    });
  },
  enginesUnderTest,
);
