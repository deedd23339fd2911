import { describe, expect, test } from 'vitest';
import type { Skeleton } from './arithmeticSkeleton.js';
import { arithmeticWords, tell, work } from './arithmeticStory.js';
import { createRandom } from './random.js';

const skeleton: Skeleton = {
  start: 1,
  operations: [
    { sign: '+', operand: 5 },
    { sign: '*', operand: 2 },
    { sign: '-', operand: 3 },
    { sign: '/', operand: 3 },
  ],
};

test('the work is from left to right, one step an operation', () => {
  expect(work(skeleton)).toEqual({
    solution: ' 1+5=6. 6*2=12. 12-3=9. 9/3=3. The final answer is: \\boxed{3}',
    answer: '3',
  });
});

describe('the words', () => {
  test('are few, and names are twelve', () => {
    expect(arithmeticWords.length).toBeLessThanOrEqual(110);
    expect(new Set(arithmeticWords).size).toBe(arithmeticWords.length);
    expect(arithmeticWords).toEqual(expect.arrayContaining(['Mia', 'Tom', 'apple', 'apples', 'Then', 'half']));
  });

  test('are all used, and no other is', () => {
    const random = createRandom('words');
    const told = new Set<string>();
    for (let i = 0; i < 5000; i++) for (const word of tell(skeleton, random).match(/[A-Za-z]+/g)!) told.add(word);
    const two: Skeleton = { start: 4, operations: [{ sign: '/', operand: 2 }] };
    const three: Skeleton = { start: 4, operations: [{ sign: '*', operand: 3 }, ...two.operations] };
    for (let i = 0; i < 1000; i++) {
      for (const one of [two, three]) for (const word of tell(one, random).match(/[A-Za-z]+/g)!) told.add(word);
    }
    expect([...told].sort()).toEqual(arithmeticWords);
  });

  test('one thing is singular, and a friend is never called as the owner is', () => {
    const random = createRandom('singular');
    for (let i = 0; i < 200; i++) {
      const story = tell(skeleton, random);
      expect(story).toMatch(/^[A-Z]\w+ (has|starts with) 1 \w+[^s]\. /);
      expect(/\bshe\b/i.test(story) && /\bhe\b/i.test(story)).toBe(false);
    }
  });
});
