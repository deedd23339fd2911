import { apply, type Operation, type Skeleton } from './arithmeticSkeleton.js';
import { pick, type Random } from './random.js';

// Words for a skeleton. The list of words is closed and small, so that a tiny model can learn to read every story.

interface Person {
  readonly name: string;
  readonly she: string;
  readonly her: string;
}

const people: readonly Person[] = [
  ...['Mia', 'Anna', 'Lily', 'Emma', 'Zoe', 'Nora'].map((name) => ({ name, she: 'she', her: 'her' })),
  ...['Tom', 'Ben', 'Sam', 'Max', 'Leo', 'Jack'].map((name) => ({ name, she: 'he', her: 'him' })),
];

const items = ['apple', 'book', 'coin', 'card', 'pen', 'egg', 'shell', 'stone', 'ball', 'cookie', 'flower', 'stamp'];

const openings = ['{name} has {n} {items}.', '{name} starts with {n} {items}.'];

/** How each operation can be told; `{she}` is the owner, `{friend}` someone else. */
const phrases: Record<Operation['sign'], readonly string[]> = {
  '+': [
    '{she} buys {n} more.',
    '{she} finds {n} more.',
    '{she} gets {n} more from {friend}.',
    '{friend} gives {her} {n} more.',
  ],
  '-': ['{she} gives {n} to {friend}.', '{she} loses {n}.', '{she} sells {n}.', '{friend} takes {n}.'],
  '*': ['now {she} has {n} times as many.'],
  '/': [
    '{she} shares them equally among {n} people and keeps one share.',
    '{she} puts them equally into {n} bags and keeps one bag.',
  ],
};

/** Two and three have words of their own. */
const special: Readonly<Record<string, readonly string[]>> = {
  '*2': ['the number of {items} doubles.', 'now {she} has twice as many.'],
  '*3': ['the number of {items} triples.'],
  '/2': ['{she} keeps half of them.', '{she} sells half of them.'],
};

const closings = ['How many {items} does {name} have now?', 'How many {items} does {she} have in the end?'];

const sentenceCase = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const fill = (template: string, values: Readonly<Record<string, string | number>>) =>
  template.replace(/\{(\w+)\}/g, (_, key: string) => String(values[key]));
const takesThen = (phrase: string) => !phrase.startsWith('now ');
const phrasesFor = ({ sign, operand }: Operation) => [...phrases[sign], ...(special[`${sign}${operand}`] ?? [])];

/** A story that asks for the skeleton's result, worded by chance: `Mia has 7 apples. She buys 5 more. ...`. */
export function tell(skeleton: Skeleton, random: Random): string {
  const { name, she, her } = pick(random, people);
  const friends = people.filter((person) => person.she !== she); // so that "she" is always the owner
  const item = pick(random, items);
  const values = { name, she, her, items: `${item}s` };
  const opening = fill(pick(random, openings), {
    ...values,
    n: skeleton.start,
    items: skeleton.start === 1 ? item : `${item}s`,
  });
  const steps = skeleton.operations.map((operation, i) => {
    const phrase = pick(random, phrasesFor(operation));
    const then = i > 0 && takesThen(phrase) && random.below(2) === 1 ? 'then ' : '';
    const friend = pick(random, friends).name;
    return sentenceCase(then + fill(phrase, { ...values, friend, n: operation.operand }));
  });
  return [opening, ...steps, fill(pick(random, closings), values)].join(' ');
}

/** A step, from 0, whose result is wrong. */
export interface Slip {
  readonly step: number;
  readonly result: number;
}

/**
 * The worked steps and the result: ` 7+5=12. 12-3=9. The final answer is: \boxed{9}`. A slip is carried on:
 * ` 7+5=13. 13-3=10. The final answer is: \boxed{10}`.
 */
export function work({ start, operations }: Skeleton, slip?: Slip): { solution: string; answer: string } {
  let total = start;
  let steps = '';
  for (const [i, operation] of operations.entries()) {
    const next = i === slip?.step ? slip.result : apply(total, operation);
    steps += ` ${total}${operation.sign}${operation.operand}=${next}.`;
    total = next;
  }
  return { solution: `${steps} The final answer is: \\boxed{${total}}`, answer: String(total) };
}

function allWords(): string[] {
  const told = [...Object.values(phrases), ...Object.values(special)].flat();
  const sentences = [
    ...openings,
    ...told.map(sentenceCase),
    ...told.filter(takesThen).map((text) => `Then ${text}`),
    ...closings,
  ];
  const ofSentences = sentences.flatMap((text) => text.replace(/\{\w+\}/g, '').match(/[A-Za-z]+/g) ?? []);
  const persons = people.flatMap(({ name, she, her }) => [name, she, sentenceCase(she), her]);
  return [...new Set([...ofSentences, ...persons, ...items, ...items.map((item) => `${item}s`)])].sort();
}

/** Every word that a story can hold, capitals apart, sorted; numbers and punctuation are not words. */
export const arithmeticWords: readonly string[] = allWords();
