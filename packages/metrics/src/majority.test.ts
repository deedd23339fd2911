import { describe, expect, test } from 'vitest';
import { majority } from './majority.js';

describe('majority', () => {
  test('by hand', () => {
    expect(majority(['3', '1/2', undefined, '0.5'])).toEqual({ answer: '1/2', votes: 2 });
    expect(majority(['1', '2', '2', '1'])).toEqual({ answer: '1', votes: 2 }); // a tie: seen first
    expect(majority(['1', '2', '2', '1'], 3)).toEqual({ answer: '2', votes: 2 });
    expect(majority(['B', 'A', '(A)'])).toEqual({ answer: 'A', votes: 2 });
    expect(majority(['NaN', '3', 'NaN'])).toEqual({ answer: 'NaN', votes: 2 }); // votes alike, and is still never correct
  });

  test('who has no answer does not vote', () => {
    expect(majority([undefined, undefined, '4'])).toEqual({ answer: '4', votes: 1 });
    expect(majority([undefined, '', ' '])).toEqual({ answer: undefined, votes: 0 });
    expect(majority(['9'.repeat(1001), '9'.repeat(1001), '4'])).toEqual({ answer: '4', votes: 1 });
  });

  test('errors', () => {
    expect(() => majority([])).toThrow('1..0, got 0');
    expect(() => majority(['1'], 2)).toThrow('1..1, got 2');
    expect(() => majority(['1'], 0.5)).toThrow(RangeError);
  });
});
