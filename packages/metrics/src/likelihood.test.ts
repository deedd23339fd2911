import { describe, expect, test } from 'vitest';
import { likelihoodSummary, type QuestionLikelihood } from './likelihood.js';

const question = (id: string, correct: number, ...choices: [number, number, number][]): QuestionLikelihood => ({
  id,
  correct,
  choices: choices.map(([logProb, tokens, characters]) => ({ logProb, tokens, characters })),
});

describe('likelihoodSummary', () => {
  test('golden, by hand', () => {
    const questions = [
      question('likeliest both ways', 0, [-2, 2, 4], [-5, 2, 4]),
      question('likeliest by characters', 1, [-3, 2, 4], [-4, 2, 8]), // -0.75 against -0.5
      question('likeliest as a whole', 0, [-3, 3, 2], [-4, 4, 8], [-9, 4, 7]), // -1.5 against -0.5
      question('neither', 2, [-1, 1, 1], [-1, 1, 1], [-7, 5, 3]),
    ];
    expect(likelihoodSummary(questions)).toEqual({
      questions: 4,
      accuracy: 2 / 4,
      normalized: 2 / 4,
      nll: (2 + 4 + 3 + 7) / (2 + 2 + 3 + 5), // tokens weigh alike, questions do not
    });
  });

  test('among equals the first counts', () => {
    expect(likelihoodSummary([question('a', 0, [-1, 1, 1], [-1, 1, 1])]).accuracy).toBe(1);
    expect(likelihoodSummary([question('a', 1, [-1, 1, 1], [-1, 1, 1])]).accuracy).toBe(0);
  });

  test.each([
    [[], 'at least one question'],
    [[question('q7', 0, [Number.NaN, 1, 1])], 'q7: expected finite log-probabilities <= 0, got NaN'],
    [[question('a', 0, [-1, 1, 1], [Number.NaN, 1, 1])], 'got NaN'], // a wrong choice counts too
    [[question('a', 0, [Number.NEGATIVE_INFINITY, 1, 1])], 'got -Infinity'],
    [[question('a', 0, [0.5, 1, 1])], 'got 0.5'],
    [[question('a', 0, [-1, 0, 1])], 'a token at least in each choice, got 0'],
    [[question('a', 0, [-1, 1, 0])], 'a character at least in each choice, got 0'],
    [[question('a', 2, [-1, 1, 1])], 'index of one of 1 choices, got 2'],
  ])('error %#', (questions, message) => {
    expect(() => likelihoodSummary(questions)).toThrow(RangeError);
    expect(() => likelihoodSummary(questions)).toThrow(message);
  });
});
