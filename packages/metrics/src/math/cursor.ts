import type { Token } from './tokens.js';
import { type Tree, whole } from './tree.js';

/** Thrown inside the parser for text that is no formula; `parse` turns it into undefined. */
export class Unread extends Error {
  override readonly name = 'Unread';
}

/** Gives the text up. */
export function unread(): never {
  throw new Unread();
}

/** Groups nest no deeper than this. */
const depthLimit = 60;

/** What the parts of the parser need of each other. */
export interface Readers {
  readonly list: (cursor: Cursor) => Tree;
  readonly sum: (cursor: Cursor) => Tree;
  readonly factor: (cursor: Cursor) => Tree;
  readonly primary: (cursor: Cursor) => Tree;
}

const closers = new Set([
  ')',
  ']',
  '}',
  '\\}',
  '\\|',
  'rangle',
  'rfloor',
  'rceil',
  'rvert',
  'rVert',
  'rbrace',
  'rbrack',
]);
const stops = new Set([
  ',',
  ';',
  '+',
  '-',
  '*',
  '/',
  ':',
  '=',
  '<',
  '>',
  '<=',
  '>=',
  '!=',
  '^',
  '_',
  '!',
  '%',
  '.',
  "'",
]);
/** Commands that cannot begin a factor. */
const operators = new Set(
  (
    'pm mp times cdot ast bullet div colon lt gt le leq leqslant ge geq geqslant ne neq approx sim simeq in notin ' +
    'equiv subset subseteq cup cap setminus backslash and or wedge vee not pmod mod circ prime degree mid end to ' +
    'rightarrow Rightarrow implies iff choose top over'
  ).split(' '),
);

/** A place in the tokens of a formula. */
export class Cursor {
  private at = 0;
  private depth = 0;
  /** Whether an absolute value is open, so that the next bar closes it. */
  bars = 0;

  /** Whether a set's braces are open, in which a colon means "such that". */
  inSet = false;
  private readonly tokens: Token[];
  private readonly readers: Readers;

  constructor(tokens: Token[], readers: Readers) {
    this.tokens = tokens;
    this.readers = readers;
  }

  list = (): Tree => this.readers.list(this);
  sum = (): Tree => this.readers.sum(this);
  factor = (): Tree => this.readers.factor(this);
  primary = (): Tree => this.readers.primary(this);

  get atEnd(): boolean {
    return this.at >= this.tokens.length;
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }

  next(): Token {
    const token = this.tokens[this.at++];
    return token ?? unread();
  }

  skip(count: number): void {
    this.at += count;
  }

  mark(): number {
    return this.at;
  }

  reset(mark: number): void {
    this.at = mark;
  }

  enter(): void {
    if (++this.depth > 2 * depthLimit) unread();
  }

  leave(): void {
    this.depth--;
  }

  eat(sign: string): boolean {
    const token = this.peek();
    if (token?.type !== 'sign' || token.text !== sign) return false;
    this.at++;
    return true;
  }

  peekCommand(name: string): boolean {
    const token = this.peek();
    return token?.type === 'command' && token.text === name;
  }

  eatCommand(name: string): boolean {
    if (!this.peekCommand(name)) return false;
    this.at++;
    return true;
  }

  expect(sign: string): void {
    if (!this.eat(sign)) unread();
  }

  /** Whether a value can begin here, a sign in front included. */
  startsValue(): boolean {
    const token = this.peek();
    const sign = token?.type === 'sign' && ['-', '+', '|'].includes(token.text);
    return sign || this.peekCommand('pm') || this.peekCommand('mp') || this.startsFactor();
  }

  /** Whether a factor can begin here. */
  startsFactor(): boolean {
    const token = this.peek();
    if (token === undefined) return false;
    if (token.type === 'command') return !operators.has(token.text) && !closers.has(token.text);
    if (token.type !== 'sign') return true;
    if (token.text === '|') return this.bars === 0;
    return !closers.has(token.text) && !stops.has(token.text) && token.text !== '\\\\' && token.text !== '&';
  }

  /** The argument of a command, as TeX takes it: a group in braces, else one digit, letter or command. */
  argument(): Tree {
    const token = this.peek();
    if (token?.type !== 'number' || token.text.length === 1) return this.primary();
    if (!/^\d+$/.test(token.text)) unread();
    this.tokens[this.at] = { ...token, text: token.text.slice(1), spaced: false };
    return whole(Number(token.text[0]));
  }
}
