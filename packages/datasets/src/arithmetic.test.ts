import { describe, expect, test } from 'vitest';
import { arithmetic, arithmeticCapacity } from './arithmetic.js';
import { arithmeticWords } from './arithmeticStory.js';
import type { Split } from './problem.js';

const splits: readonly Split[] = ['train', 'validation', 'test'];
const samples = splits.flatMap((split) => arithmetic({ split, count: 1000, seed: 7, levels: [2, 3, 4, 5] }));
const easiest = splits.flatMap((split) => arithmetic({ split, count: 60, seed: 7, levels: [1] }));

/** Reads a story as a person would, knowing nothing of how it was made: the computation and its result. */
function read(question: string): { text: string; result: number; steps: number } {
  const [opening, ...told] = question.split(/(?<=\.) /);
  const start = Number(/ (?:has|starts with) (\d+) /.exec(opening!)![1]);
  let [text, total, steps] = [String(start), start, 0];
  const step = (sign: string, operand: number, next: number) => {
    [text, total, steps] = [`${text}${sign}${operand}`, next, steps + 1];
  };
  for (const sentence of told.slice(0, -1)) {
    const number = Number(/\d+/.exec(sentence)?.[0]);
    if (/doubles|twice/.test(sentence)) step('*', 2, total * 2);
    else if (/triples/.test(sentence)) step('*', 3, total * 3);
    else if (/times as many/.test(sentence)) step('*', number, total * number);
    else if (/half/.test(sentence)) step('/', 2, total / 2);
    else if (/equally/.test(sentence)) step('/', number, total / number);
    else if (/ more/.test(sentence)) step('+', number, total + number);
    else if (/gives|loses|sells|takes/.test(sentence)) step('-', number, total - number);
    else throw new Error(`cannot read ${sentence}`);
  }
  return { text, result: total, steps };
}

describe('arithmetic', () => {
  test('golden', () => {
    // Pins the generator: whoever changes this changes every published number that was measured on the set.
    expect(arithmetic({ split: 'train', count: 2, seed: 1, levels: [1, 3] })).toEqual([
      {
        id: 'arithmetic/train/1/16+8',
        question: 'Mia has 16 coins. Leo gives her 8 more. How many coins does she have in the end?',
        solution: ' 16+8=24. The final answer is: \\boxed{24}',
        answer: '24',
        level: 1,
      },
      {
        id: 'arithmetic/train/1/7-6*2+15',
        question:
          'Leo has 7 apples. He sells 6. Now he has 2 times as many. Then he gets 15 more from Emma. How many apples does Leo have now?',
        solution: ' 7-6=1. 1*2=2. 2+15=17. The final answer is: \\boxed{17}',
        answer: '17',
        level: 3,
      },
    ]);
    expect(arithmetic({ split: 'test', count: 1, seed: 1, levels: [2] })).toEqual([
      {
        id: 'arithmetic/test/1/2*3*3',
        question:
          'Zoe has 2 cards. Now she has 3 times as many. Now she has 3 times as many. How many cards does Zoe have now?',
        solution: ' 2*3=6. 6*3=18. The final answer is: \\boxed{18}',
        answer: '18',
        level: 2,
      },
    ]);
  });

  test('the story asks for the answer', () => {
    for (const { question, answer, id, level } of [...samples, ...easiest]) {
      const story = read(question);
      expect(String(story.result)).toBe(answer);
      expect(story.steps).toBe(level);
      expect(id.endsWith(`/${story.text}`)).toBe(true);
    }
  });

  test('every worked step is true and leads to the next', () => {
    for (const { solution, answer, level } of [...samples, ...easiest]) {
      const [steps, boxed] = solution!.split(' The final answer is: ');
      const equations = steps!.match(/ \d+[-+*/]\d+=\d+\./g)!;
      expect(equations.join('')).toBe(steps);
      expect(equations).toHaveLength(level!);
      let before: number | undefined;
      for (const equation of equations) {
        const [, a, sign, b, c] = /(\d+)(.)(\d+)=(\d+)/.exec(equation)!;
        const [x, y] = [Number(a), Number(b)];
        expect({ '+': x + y, '-': x - y, '*': x * y, '/': x / y }[sign!]).toBe(Number(c));
        if (before !== undefined) expect(x).toBe(before);
        before = Number(c);
      }
      expect(before).toBe(Number(answer));
      expect(boxed).toBe(`\\boxed{${answer}}`);
    }
  });

  test('no computation occurs in two splits, even between seeds', () => {
    const computations = (split: Split, seed: number) =>
      arithmetic({ split, count: 2000, seed, levels: [2] }).map(({ question }) => read(question).text);
    const train = new Set([...computations('train', 1), ...computations('train', 2)]);
    const validation = new Set(computations('validation', 3));
    const test = computations('test', 4);
    expect(train.size).toBeGreaterThan(3000);
    expect([...validation].filter((text) => train.has(text))).toEqual([]);
    expect(test.filter((text) => train.has(text) || validation.has(text))).toEqual([]);
  });

  test('no computation occurs twice in a call', () => {
    for (const split of splits) {
      const all = arithmetic({ split, count: arithmeticCapacity(split, 1), seed: 3, levels: [1] });
      expect(new Set(all.map(({ question }) => read(question).text)).size).toBe(all.length);
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    }
  });

  test('levels take turns, and a level alone is what it is among others', () => {
    const mixed = arithmetic({ split: 'train', count: 11, seed: 5, levels: [3, 1, 4] });
    expect(mixed.map(({ level }) => level)).toEqual([3, 1, 4, 3, 1, 4, 3, 1, 4, 3, 1]);
    const alone = arithmetic({ split: 'train', count: 4, seed: 5, levels: [1] });
    expect(mixed.filter(({ level }) => level === 1)).toEqual(alone);
    expect(arithmetic({ split: 'train', count: 5, seed: 5 }).map(({ level }) => level)).toEqual([1, 2, 3, 4, 5]);
  });

  test('the same options give the same problems; a larger count the same ones first; another seed others', () => {
    const options = { split: 'validation', count: 20, seed: 11 } as const;
    const problems = arithmetic(options);
    expect(arithmetic(options)).toEqual(problems);
    expect(arithmetic({ ...options, count: 50 }).slice(0, 20)).toEqual(problems);
    const rare = { split: 'test', seed: 11, levels: [1] } as const; // so few that most draws are repeats
    expect(arithmetic({ ...rare, count: 73 }).slice(0, 20)).toEqual(arithmetic({ ...rare, count: 20 }));
    expect(arithmetic({ ...options, seed: 12 })).not.toEqual(problems);
    expect(arithmetic({ ...options, count: 0 })).toEqual([]);
  });

  test('stories use only the words of the list', () => {
    const known = new Set(arithmeticWords);
    for (const { question } of [...samples, ...easiest]) {
      for (const word of question.match(/[A-Za-z]+/g)!) expect(known).toContain(word);
      expect(question.replace(/[A-Za-z0-9 ]/g, '')).toMatch(/^\.+\?$/);
    }
  });

  test('a level that is used up is an error, not an endless loop', () => {
    const ask = (count: number, levels: number[]) => () => arithmetic({ split: 'test', count, seed: 1, levels });
    expect(ask(73, [1])).not.toThrow();
    expect(ask(74, [1])).toThrow('expected at most 73 problems of level 1 in test, got 74; ask for fewer');
    expect(ask(148, [1, 2])).toThrow('at most 73');
    expect(ask(50_001, [5])).toThrow('at most 50000');
  });

  test.each([
    [{ split: 'dev' as Split }, 'got "dev"'],
    [{ count: -1 }, 'count'],
    [{ count: 1.5 }, 'count'],
    [{ seed: Number.NaN }, 'seed'],
    [{ levels: [] }, 'got []'],
    [{ levels: [1, 1] }, 'got [1,1]'],
    [{ levels: [6] }, 'levels in 1..5, got 6'],
  ])('%j is an error', (wrong, message) => {
    expect(() => arithmetic({ split: 'train', count: 1, seed: 1, ...wrong })).toThrow(RangeError);
    expect(() => arithmetic({ split: 'train', count: 1, seed: 1, ...wrong })).toThrow(message);
  });
});

describe('arithmeticCapacity', () => {
  test('the splits of a level make up the whole', () => {
    expect(splits.map((split) => arithmeticCapacity(split, 1))).toEqual([540, 62, 73]);
    expect(splits.reduce((sum, split) => sum + arithmeticCapacity(split, 2), 0)).toBe(24_547);
    expect(arithmeticCapacity('train', 4)).toBe(50_000);
    expect(() => arithmeticCapacity('train', 0)).toThrow('arithmeticCapacity: expected levels in 1..5, got 0');
  });
});
