import { type Box, boxes, searchLimit } from './boxed.js';

/** Longer answers are not compared. */
export const answerLimit = 1000;

/** What a text gives as its answer. */
export interface Extracted {
  /** As it stands in the text; boxes side by side are joined by commas. */
  readonly text: string;
  /** Other readings of a text without box and formula, such as its last number. */
  readonly others: readonly string[];
}

/**
 * The answer that a text gives, or undefined when it gives none:
 *
 * 1. the last `\boxed{...}`, with those that a comma, `and` or `or` joins to it; a last box that never closes is none
 * 2. unless a later phrase says what the final answer is
 * 3. without a box: what the text calls the answer, else its last formula (`$...$`, `\(...\)`, `\[...\]`) and those
 *    joined to it, else the text itself or the last number in it
 *
 * Linear in the length, over the last 100,000 characters.
 */
export function extractAnswer(text: string): Extracted | undefined {
  const tail = text.slice(-searchLimit);
  const found =
    fromBoxes(tail) ?? (tail.includes('\\\\boxed') ? fromBoxes(tail.replace(/\\\\(?=[a-zA-Z])/g, '\\')) : undefined);
  if (found === 'cut short') return undefined;
  const runs = formulaRuns(tail);
  const phrase = finalPhrase(tail, runs, found?.end ?? 0);
  if (found && phrase === undefined) return { text: found.content, others: [] };
  const stated = phrase ?? statedAnswer(tail, runs) ?? runs.at(-1)?.content;
  if (stated !== undefined) return { text: stated, others: decimalComma(stated) };
  if (/\\(?:boxed|fbox)(?![a-zA-Z])/.test(tail)) return undefined; // a box was begun, and holds nothing
  const whole = text.length > answerLimit ? '' : text.trim();
  const number = lastNumber(tail);
  if (whole === '') return number === undefined ? undefined : { text: number, others: decimalComma(number) };
  const inProse = isProse(whole) && number !== undefined ? [number, ...decimalComma(number)] : [];
  const unmarked = whole.replace(/^[*#>_`\s]+|[*_`\s]+$/g, '');
  const emphasised = unmarked === whole || unmarked === '' ? [] : [unmarked];
  return { text: whole, others: [...decimalComma(whole), ...emphasised, ...inProse] };
}

/** `1000,99` read with a decimal comma, which is tried after the comma that separates. */
function decimalComma(text: string): string[] {
  return /^[+-]?\d+,\d+$/.test(text) ? [text.replace(',', '.')] : [];
}

const functionNames = /^(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|max|min|gcd|arcsin|arccos|arctan|infinity)$/i;

/** Words, as against a formula or an amount: `It is 5`, but not `5 cm`, `3 ab` or `sqrt 5`. */
function isProse(text: string): boolean {
  const words = text.replace(/\\[a-zA-Z]+/g, ' ').match(/\b[a-zA-Z]{2,}\b/g) ?? [];
  const said = words.filter((word) => !functionNames.test(word));
  const sentence =
    said.length > 1 && said.some((word) => word.length > 2 || /^(?:is|it|we|so|to|of|in|at|no)$/i.test(word));
  const opening = /^[^\d\\]*?\b([a-zA-Z]{3,})\b/.exec(text)?.[1];
  return sentence || (opening !== undefined && !functionNames.test(opening));
}

/** Text between two boxes that makes them one answer, and not the second a consequence of the first. */
function joins(between: string): boolean {
  const list = between.length < 70 && /,|;|\b(?:and|or)\b/.test(between);
  return (
    list && !/[.?!:]\s|\n\s*\n|=|\\(?:begin|end)|\b(?:so|then|thus|hence|therefore|which|but|not)\b/i.test(between)
  );
}

function fromBoxes(text: string): { content: string; end: number } | 'cut short' | undefined {
  const { closed, cutShort } = boxes(text);
  if (cutShort) return 'cut short';
  const last = closed.at(-1);
  if (last === undefined) return undefined;
  let first = closed.length - 1;
  const gap = (before: Box, after: Box) => text.slice(before.end + 1, after.command);
  while (first > 0 && joins(gap(closed[first - 1]!, closed[first]!))) first--;
  let content = text.slice(closed[first]!.start, closed[first]!.end);
  for (let i = first + 1; i < closed.length; i++) {
    const word = /\bor\b/.test(gap(closed[i - 1]!, closed[i]!)) ? ' \\text{ or } ' : ', ';
    content += word + text.slice(closed[i]!.start, closed[i]!.end);
  }
  return { content, end: last.end };
}

interface Run {
  readonly start: number;
  readonly end: number;
  readonly content: string;
}

const closers: Record<string, string> = { $$: '$$', $: '$', '\\[': '\\]', '\\(': '\\)' };

/** Formulas in their delimiters, in order. */
function formulas(text: string): Run[] {
  const found: Run[] = [];
  const gone = new Set<string>(); // closers that do not come again
  const opener = /\\[[(]|\\.|\$\$?/gs;
  for (let match = opener.exec(text); match; match = opener.exec(text)) {
    const close = closers[match[0]];
    if (close === undefined || gone.has(close)) continue;
    const start = match.index + match[0].length;
    const end = closeAt(text, close, start);
    if (end < 0) {
      gone.add(close);
      continue;
    }
    const content = text.slice(start, end);
    if (close === '$' && (content.includes('\n') || isMoney(text, match.index, content, end))) continue;
    if (content.trim() !== '') found.push({ start: match.index, end: end + close.length, content });
    opener.lastIndex = end + close.length;
  }
  return found;
}

function closeAt(text: string, close: string, from: number): number {
  for (let at = text.indexOf(close, from); at >= 0; at = text.indexOf(close, at + 1)) {
    if (close.startsWith('\\') || text[at - 1] !== '\\') return at;
  }
  return -1;
}

/** `$5 and $6`: no formula, but two prices. */
function isMoney(text: string, start: number, content: string, end: number): boolean {
  const price = /^\d[\d,.]*\s+[a-z]/i.test(content) || /\d/.test(text[start - 1] ?? '');
  return price && /\d/.test(text[end + 1] ?? '') === !/\d/.test(text[start - 1] ?? '');
}

const percent = /\s*(?:\\?%|percent(?:age)?|pct)/iy;

/** Formulas that `and`, `or` or a comma joins, as one. */
function formulaRuns(text: string): Run[] {
  const runs: Run[] = [];
  for (const formula of formulas(text)) {
    percent.lastIndex = formula.end;
    const share = percent.test(text);
    const whole = { ...formula, end: share ? percent.lastIndex : formula.end };
    const content = share ? `${formula.content}\\%` : formula.content;
    const last = runs.at(-1);
    const between =
      last && /^\s*(?:,\s*)?(and|or|,)\s*$/.exec(text.slice(last.end, Math.min(formula.start, last.end + 40)));
    if (last && between && last.content.length < answerLimit) {
      const word = between[1] === ',' ? ', ' : ` \\text{ ${between[1]} } `;
      runs[runs.length - 1] = { start: last.start, end: whole.end, content: last.content + word + content };
    } else runs.push({ ...whole, content });
  }
  return runs;
}

const number = /-?[$€£¥₹]?(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const choice = /\(?([A-J])\)?(?=\s*(?:[.,:;*)\n]|$))/y;
const markup = /[\s*:]*/y;

/** A formula, number or choice that begins at a place, spaces and emphasis apart. */
function answerAt(text: string, place: number, runs: readonly Run[]): string | undefined {
  markup.lastIndex = place;
  markup.test(text);
  const at = markup.lastIndex;
  const run = runs.find(({ start }) => start === at);
  if (run) return run.content;
  number.lastIndex = at;
  if (number.test(text)) {
    return text[number.lastIndex] === '\\' ? bareFormula(text, at) : withExpression(text, at, number.lastIndex);
  }
  choice.lastIndex = at;
  const letter = choice.exec(text)?.[1];
  return letter ?? bareFormula(text, at);
}

/** A formula without delimiters, up to the end of its sentence. */
function bareFormula(text: string, at: number): string | undefined {
  const rest = text.slice(at, at + 200).split(/\.(?:\s|$)|\n/)[0]!;
  return rest.length < 200 && /\\[a-zA-Z]/.test(rest) && !isProse(rest) ? rest.trim() : undefined;
}

/** A number with the sums, quotients and powers that it begins, and a percent sign. */
function withExpression(text: string, start: number, end: number): string {
  const more = /(?:\s*[-+*/^×÷]\s*\(?-?\d+(?:\.\d+)?\)?)*/y;
  more.lastIndex = end;
  more.test(text);
  percent.lastIndex = more.lastIndex;
  const share = percent.test(text) ? '%' : '';
  return text.slice(start, more.lastIndex).trim() + share;
}

/** What a phrase behind `from` says the final answer is. */
function finalPhrase(text: string, runs: readonly Run[], from: number): string | undefined {
  const phrases = [...text.slice(from).matchAll(/final answer/gi)].slice(-8).toReversed();
  for (const { index } of phrases) {
    const start = from + index + 'final answer'.length;
    const window = text.slice(start, start + 110);
    for (const { index: is } of window.matchAll(/\bis\b:?/g)) {
      const answer = answerAt(text, start + is + 2, runs);
      if (answer !== undefined) return answer;
    }
  }
  return undefined;
}

const inside = (runs: readonly Run[], at: number) => runs.some(({ start, end }) => start <= at && at < end);

/** The first result that is one. */
function first<T, R>(items: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What stands behind the last `####`, as in GSM8K, or the last `answer`. */
function statedAnswer(text: string, runs: readonly Run[]): string | undefined {
  const marked = text.lastIndexOf('####');
  const behind = marked < 0 ? undefined : answerAt(text, marked + 4, runs);
  if (behind !== undefined) return behind;
  for (const { index } of [...text.matchAll(/answer/gi)].slice(-8).toReversed()) {
    const start = index + 'answer'.length;
    const window = text.slice(start, start + 110).split(/[.!?]\s|\n\s*\n/)[0]!;
    const signs = [...window.matchAll(/=|\bis\b:?|:/g)].filter(({ index: at }) => !inside(runs, start + at));
    const said = signs.filter(({ 0: sign }) => sign !== '=');
    const after = (sign: RegExpExecArray) => answerAt(text, start + sign.index + sign[0].length, runs);
    const run = runs.find((each) => each.start >= start && each.start <= start + 60);
    const answer = first(said, after) ?? run?.content ?? first(signs.toReversed(), after);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** The last number of a text, not inside a word, with the expression that ends in it. */
function lastNumber(text: string): string | undefined {
  const tail = text.slice(-2000);
  let last: string | undefined;
  const place = /(?<=^|[\s=:*])(?:-?\\[dtc]?frac\{-?[\d.]{1,40}\}\{-?[\d.]{1,40}\}|-?[$€£¥₹]?(?=\.?\d))/g;
  for (let match = place.exec(tail); match; match = place.exec(tail)) {
    if (match[0].includes('\\')) last = match[0];
    number.lastIndex = match.index;
    if (!number.test(tail)) continue;
    last = withExpression(tail, match.index, number.lastIndex);
    place.lastIndex = Math.max(place.lastIndex + 1, match.index + last.length);
  }
  return last;
}
