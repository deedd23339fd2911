import { expect, test } from 'vitest';
import { readJson } from './files.js';
import { qwen3 } from './qwen3.js';
import { fixture, testParity } from './test/parity.js';

testParity('qwen3');

test('a head is 128 wide where the file does not say; windows are refused', async () => {
  const { head_dim, ...config } = await readJson(`${fixture('qwen3')}/config.json`);
  expect(qwen3.parseConfig(config, 'config.json').headDim).toBe(128);
  expect(() => qwen3.parseConfig({ ...config, use_sliding_window: true }, 'config.json')).toThrow(
    'config.json: use_sliding_window: expected false, got true',
  );
});
