import { unitOf } from './units.js';

/**
 * The smallest pieces of a formula:
 *
 * - `number`: digits with a decimal part, without thousands separators
 * - `letter`: one variable; `word`: text, or letters behind a number that name a thing
 * - `command`: a backslash command, without the backslash; functions typed without it too
 * - `sign`: anything else, one character, `<=`, `>=` or `!=`; `\{` and `\}` with their backslash
 */
export interface Token {
  readonly type: 'number' | 'letter' | 'word' | 'command' | 'sign';
  readonly text: string;
  /** Whether space stood in front. */
  readonly spaced: boolean;
}

const unicode: Record<string, string> = {
  '\u2212': '-',
  '\u2013': '-',
  '\u00d7': '\\times ',
  '\u00b7': '\\cdot ',
  '\u22c5': '\\cdot ',
  '\u00f7': '\\div ',
  '\u00b1': '\\pm ',
  '\u2213': '\\mp ',
  '\u2264': '\\le ',
  '\u2265': '\\ge ',
  '\u2a7d': '\\le ',
  '\u2a7e': '\\ge ',
  '\u2260': '\\ne ',
  '\u2248': '\\approx ',
  '\u2208': '\\in ',
  '\u222a': '\\cup ',
  '\u2229': '\\cap ',
  '\u2205': '\\emptyset ',
  '\u221e': '\\infty ',
  '\u221a': '\\sqrt ',
  '\u03c0': '\\pi ',
  '\u03b8': '\\theta ',
  '\u03b1': '\\alpha ',
  '\u03b2': '\\beta ',
  '\u03bb': '\\lambda ',
  '\u00b0': '\\degree ',
  '\u00b2': '^{2}',
  '\u00b3': '^{3}',
  '\u211d': '\\mathbb{R}',
  '\u2124': '\\mathbb{Z}',
  '\u00bd': '\\frac{1}{2}',
  '\u00bc': '\\frac{1}{4}',
  '\u00be': '\\frac{3}{4}',
  '\uff0c': ',',
  '\uff08': '(',
  '\uff09': ')',
};
const unicodePattern = new RegExp(`[${Object.keys(unicode).join('')}]`, 'g');

/** Commands that change how a formula looks, not what it says. */
const cosmetic = new Set(
  (
    'left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr middle displaystyle textstyle ' +
    'scriptstyle limits nolimits hfill mathstrut rm bf it cr hline'
  ).split(' '),
);
/** Commands that stand for space. */
const spaces = new Set('quad qquad hspace thinspace medspace space enspace nobreakspace'.split(' '));
/** Commands whose braces hold text. */
const texts = new Set(
  'text textbf textit textrm textsf texttt textnormal mbox hbox mathrm mathsf mathit mathbf mathtt operatorname'.split(
    ' ',
  ),
);
/** Functions that are understood in \\text and the like as well. */
const named = new Set('tg ctg cosec arctg max min gcd lcm det'.split(' '));
/** Functions that are understood without a backslash as well. */
const bare = new Set(
  'sqrt sin cos tan cot sec csc log ln exp arcsin arccos arctan sinh cosh tanh infinity pi and or'.split(' '),
);

/** Closes a group opened at `start` (just behind its brace), or -1. */
function closing(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return -1;
}

/**
 * Whether the comma in `1,000` groups digits: always outside brackets; inside brackets only beside a comma with a
 * space or a semicolon, so that `(1,000, 2,000)` is a pair, and so is `(1,200)`.
 */
function groupsDigits(text: string, at: number): boolean {
  let depth = 0;
  let start = at;
  for (; start >= 0; start--) {
    if (')]}'.includes(text[start]!)) depth++;
    else if ('([{'.includes(text[start]!) && --depth < 0) break;
  }
  if (start < 0) return true;
  const end = text.slice(at).search(/[)\]}]/);
  return /, |;/.test(text.slice(start, end < 0 ? undefined : at + end));
}

const grouped = /[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)(?:\.\d+)?/y;
const spacedGroups = /[1-9]\d{0,2}(?: \d{3})+(?!\d)(?:\.\d+)?/y;
const plain = /\d+(?:\.(?!\.)\d*)?|\.\d+/y;
const exponent = /[eE][+-]?\d{1,4}(?![\d.a-zA-Z])/y;
const command = /\\([a-zA-Z]+)\*?/y;
const letters = /[a-zA-Z]+/y;
const powerUnit = /(?:[ckm]?m|ft|in)[23](?![\w.])/y;

function take(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Brings spellings to one before the text is cut up. */
function prepare(text: string): string {
  const one = text
    .replace(/\u221a\s*(\d+(?:\.\d+)?|[a-zA-Z])/g, '\\sqrt{$1}')
    .replace(/(?<![a-zA-Z])([ap])\.\s?m\.?(?![a-zA-Z])/g, '$1m')
    .replace(unicodePattern, (character) => unicode[character]!)
    .replace(/\\!\s*|[€£¥₹¢]/g, '')
    .replace(/\{,\}/g, ',')
    .replace(
      /([[\]])([^[\](),;]+[,;][^[\](),;]+)\[(?!\d)/g,
      (_, open: string, inside: string) => `${open === ']' ? '(' : '['}${inside})`,
    )
    .replace(/(\d)(,?)\\[!,;: ](?=\d{3}(?!\d))/g, '$1,');
  return /matrix|array|cases/.test(one) ? one : one.replace(/\\\\(?=[a-zA-Z{}()[\]])/g, '\\');
}

/**
 * Cuts a formula into tokens, or returns undefined where a group of text is not closed.
 *
 * - `text`: LaTeX or typed text of at most 1,000 characters; the cost is at worst quadratic
 */
export function tokens(text: string): Token[] | undefined {
  const found: Token[] = [];
  return cut(prepare(text), false, found) ? found : undefined;
}

function cut(text: string, isText: boolean, found: Token[]): boolean {
  let spaced = false;
  const push = (type: Token['type'], content: string) => {
    found.push({ type, text: content, spaced });
    spaced = false;
  };
  let at = 0;
  while (at < text.length) {
    const character = text[at]!;
    if (/[\s~$"&]/.test(character) && !(character === '&' && !isText)) {
      spaced = true;
      at++;
    } else if (character === '\\') {
      const name = take(command, text, at)?.slice(1);
      if (name === undefined) {
        const next = text[at + 1] ?? '';
        if ('{}%|\\'.includes(next) && next !== '') push('sign', next === '%' ? '%' : `\\${next}`);
        else spaced = true; // \, \; \: \$ and the like
        at += 2;
        continue;
      }
      at += name.length + 1;
      if (spaces.has(name) || cosmetic.has(name)) {
        spaced = true;
        if (text[at] === '.' && /left|right/.test(name)) at++; // \left. is no bracket
      } else if (texts.has(name)) {
        const open = /\s*\{/y;
        open.lastIndex = at;
        if (!open.test(text)) continue;
        const end = closing(text, open.lastIndex);
        if (end < 0) return false;
        const content = text.slice(open.lastIndex, end);
        const minutes = content.trim() === 'min' && !/^\s*[({_]/.test(text.slice(end + 1, end + 9));
        const applied = named.has(content.trim()) && !minutes;
        if (bare.has(content.trim()) || applied) push('command', content.trim());
        else if (!cut(content, true, found)) return false;
        at = end + 1;
        spaced = true;
      } else push('command', name);
    } else if (/\d/.test(character) || (character === '.' && /\d/.test(text[at + 1] ?? ''))) {
      const group = take(grouped, text, at);
      const digits =
        (group !== undefined && groupsDigits(text, at) ? group : undefined) ??
        take(spacedGroups, text, at) ??
        take(plain, text, at)!;
      const power = take(exponent, text, at + digits.length) ?? '';
      push('number', digits.replace(/[, ]/g, '').replace(/\.$/, '') + power);
      at += digits.length + power.length;
    } else if (/[a-zA-Z]/.test(character)) {
      const run = take(letters, text, at)!;
      const behindNumber = found.at(-1)?.type === 'number' || found.at(-1)?.type === 'word';
      const squared = behindNumber ? take(powerUnit, text, at) : undefined;
      const speed = behindNumber && /^m\/s(?![a-zA-Z])/.test(text.slice(at, at + 4));
      const behindValue = behindNumber || ['}', ')', 'circ', 'degree'].includes(found.at(-1)?.text ?? '');
      at += run.length;
      if (squared !== undefined) {
        push('word', `${squared.slice(0, -1)}^${squared.at(-1)}`); // 100m2
        at++;
      } else if (bare.has(run)) push('command', run);
      else if (speed) push('word', run);
      else if (/^(?:percent|percentage|pct)$/i.test(run)) push('sign', '%');
      else if (isText && run.length > 1) push('word', run);
      else if (behindNumber && run.length > 1 && (unitOf(run) || run.length > 3)) push('word', run);
      else if (isText && behindValue && /^[mgslhLNJWVKACF]$/.test(run)) push('word', run);
      else for (const letter of run) push('letter', letter);
    } else {
      const pair = text.slice(at, at + 2);
      const double = ['<=', '>=', '!=', '**'].includes(pair);
      push('sign', double ? (pair === '**' ? '^' : pair) : character);
      at += double ? 2 : 1;
    }
  }
  return true;
}
