import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { createNoise, type NoiseAddress, normalArray, philox4x32, uniformArray } from '../random.js';

const bitsOf = (values: Float32Array) => new Int32Array(values.buffer, values.byteOffset, values.length);

/** What `draw` gives on the engine cpu, which has no kernel for it: TypeScript. */
async function inTypeScript<T>(draw: () => T): Promise<T> {
  await useEngine('cpu');
  const drawn = draw();
  await useEngine('native');
  return drawn;
}

const addresses: NoiseAddress[] = [
  { seed: 0, step: 0, sample: 0, position: 0, stream: 0 },
  { seed: -1, step: 2 ** 32 - 1, sample: 2 ** 31 - 1, position: 2 ** 20 - 1, stream: 14, draw: 255 },
  { seed: Number.MAX_SAFE_INTEGER, step: 2 ** 31, sample: 1, position: 2 ** 19, stream: 8, draw: 128 },
  { seed: Number.MIN_SAFE_INTEGER, step: 1, sample: 2 ** 30, position: 1, stream: 1, draw: 1 },
  ...Array.from({ length: 40 }, (_, i) => {
    const [a, b, c, d] = philox4x32([i, 0, 0, 0], [1, 2]);
    return {
      seed: (a - 2 ** 31) * 2 ** 21 + (b >>> 11),
      step: b,
      sample: c >>> 1,
      position: d >>> 12,
      stream: i % 15,
      draw: d & 255,
    };
  }),
];

eachEngine(useEngine, () => {
  test('has the kernels', () => {
    expect(tf.getKernel('NormalNoise', 'native')).toBeDefined();
    expect(tf.getKernel('UniformNoise', 'native')).toBeDefined();
  });

  test.each([
    ['normal', normalArray],
    ['uniform', uniformArray],
  ] as const)('%s: the bits of TypeScript, at many addresses and sizes', async (_, draw) => {
    const draws = () =>
      addresses.flatMap((address, i) => [0, 1, 2, 3, 5, 63, 64, 65, 130 + i, 1027].map((n) => draw(address, n)));
    const want = await inTypeScript(draws);
    draws().forEach((values, i) => {
      expect(bitsOf(values)).toEqual(bitsOf(want[i]!));
    });
  });

  test.each([
    ['normal', normalArray],
    ['uniform', uniformArray],
  ] as const)('%s: the bits of TypeScript far into a draw', async (_, draw) => {
    const n = 2 ** 21 + 7; // many tasks for the threads
    const want = bitsOf(await inTypeScript(() => draw(addresses[1]!, n)));
    const got = bitsOf(draw(addresses[1]!, n));
    expect(got.length).toBe(n);
    expect(got.findIndex((bits, i) => bits !== want[i])).toBe(-1);
  });

  test.each([1, 3])('a batch of rows, by %d threads', async (threads) => {
    const samples = Int32Array.from({ length: 37 }, (_, i) => (i * 77_777_777) % 2 ** 31);
    const draws = () =>
      tf.tidy(() => {
        const noise = createNoise({ seed: -5, step: 9, position: 77, stream: 3, samples });
        return [noise.normal(577), noise.uniform(1), noise.normal(2050), noise.uniform(3001)].map((drawn) => ({
          shape: drawn.shape,
          bits: bitsOf(drawn.dataSync<'float32'>().slice()),
        }));
      });
    const want = await inTypeScript(draws);
    await useEngine('native', { threads });
    expect(draws()).toEqual(want);
    expect(want.map(({ shape }) => shape)).toEqual([577, 1, 2050, 3001].map((width) => [37, width]));
    await useEngine('native');
  });

  test('no rows and no columns', () => {
    const place = { seed: 1, step: 0, position: 0, stream: 0 };
    expect(createNoise({ ...place, samples: new Int32Array(0) }).normal(5).shape).toEqual([0, 5]);
    expect(createNoise({ ...place, samples: Int32Array.of(1, 2) }).uniform(0).shape).toEqual([2, 0]);
  });

  test('what was drawn stays as it was', () => {
    const first = normalArray(addresses[0]!, 100);
    const copy = first.slice();
    normalArray(addresses[1]!, 100);
    expect(first).toEqual(copy);
  });
}, ['native']);
