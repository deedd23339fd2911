import { expect, test } from 'vitest';
import { readJson } from './files.js';
import { qwen2 } from './qwen2.js';
import { fixture, testParity } from './test/parity.js';

testParity('qwen2-tied', 'qwen2-untied-gqa');

test('a sliding window that is not used is accepted, one that is used is not', async () => {
  const config = await readJson(`${fixture('qwen2-tied')}/config.json`);
  const unused = { ...config, use_sliding_window: false, sliding_window: 32768, max_window_layers: 21 };
  expect(qwen2.parseConfig(unused, 'config.json').numLayers).toBe(2);
  expect(() => qwen2.parseConfig({ ...unused, use_sliding_window: true }, 'config.json')).toThrow(
    'config.json: use_sliding_window: expected false, got true',
  );
  const layers = { ...config, layer_types: ['full_attention', 'sliding_attention'] };
  expect(() => qwen2.parseConfig(layers, 'config.json')).toThrow('layer_types.1');
});
