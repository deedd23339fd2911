import { expect, test } from 'vitest';
import { pacer } from './pace.js';

test('throws the reason of a signal that has aborted', async () => {
  const controller = new AbortController();
  const pause = pacer(controller.signal);
  await pause();
  controller.abort(new Error('enough'));
  await expect(pause()).rejects.toThrow('enough');
});

test('lets timers run during long work', async () => {
  let ran = false;
  setTimeout(() => {
    ran = true;
  }, 0);
  const pause = pacer();
  const until = performance.now() + 2000;
  while (!ran && performance.now() < until) await pause();
  expect(ran).toBe(true);
});
