import { afterAll, describe, expect, test } from 'vitest';
import { createVerifier } from './verifier.js';

describe('createVerifier', () => {
  const verifier = createVerifier({ timeLimit: 5000 });
  afterAll(() => verifier.dispose());

  test.each([
    ['\\int_0^1 x dx', '\\frac{1}{2}', true],
    ['\\sum_{n=1}^{10} n', '55', true],
    ['\\sum_{n=1}^{10} n', '54', false],
  ])('the engine: %s and %s, %s', async (answer, gold, correct) => {
    const reason = correct ? 'equal by the engine' : 'different';
    expect(await verifier.verify(`\\boxed{${answer}}`, gold)).toMatchObject({ correct, reason });
  });

  test('is asked only where nothing else can compare, and once', async () => {
    const before = verifier.counts.asked;
    expect(await verifier.verify('\\boxed{x^2-1}', '(x-1)(x+1)')).toMatchObject({ reason: 'equal as an expression' });
    expect(await verifier.verify('\\boxed{6}', '5')).toMatchObject({ reason: 'different' });
    expect(await verifier.verify('\\boxed{\\text{yes}}', '\\text{no}')).toMatchObject({ reason: 'different' });
    expect(await verifier.verify('', '5')).toMatchObject({ reason: 'no answer' });
    const same = Array.from({ length: 20 }, () => verifier.verify('\\boxed{\\int_0^1 x dx}', '\\frac{1}{2}'));
    expect((await Promise.all(same)).every(({ correct }) => correct)).toBe(true);
    expect(verifier.counts).toEqual({ asked: before, timedOut: 0 });
  });

  test('hostile answers cost the limit, count as wrong, and the next is answered', async () => {
    const quick = createVerifier({ timeLimit: 300 });
    try {
      const verdict = await quick.verify('\\boxed{\\sum_{n=1}^{10^9} n}', '5');
      expect(verdict).toMatchObject({ correct: false, reason: 'timed out after 300 ms' });
      expect(await quick.verify('\\boxed{9^{9^{9^9}}}', '5')).toMatchObject({ correct: false });
      expect(quick.counts.timedOut).toBeGreaterThan(0);
      expect(await quick.verify('\\boxed{5}', '5')).toMatchObject({ correct: true });
    } finally {
      await quick.dispose();
    }
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('a time limit of %d is an error', (timeLimit) => {
    expect(() => createVerifier({ timeLimit })).toThrow(RangeError);
  });
});
