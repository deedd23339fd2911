import { lastBoxed } from './boxed.js';

/** Removed: they change how a formula looks, not what it says. */
const cosmetic = /(?<!\\)\\!|\\(?:left|right|displaystyle)(?![a-zA-Z])/g;
/** `\,` `\;` `\:` `\ ` `~` `\quad` and the like: a space. (`\\ ` is a line end and a space.) */
const spaces = /(?<!\\)\\[,;: ]|~|\\q?quad(?![a-zA-Z])|\s/g;
const textCommand = /\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf)\s*\{([^{}]*)\}/g;
const fraction = /\\[dtc]?frac\s*(\{[^{}]*\}|\d)\s*(\{[^{}]*\}|\d)/g;
const delimiters: readonly [string, string][] = [
  ['\\(', '\\)'],
  ['\\[', '\\]'],
];

const braced = (argument: string) => (argument.startsWith('{') ? argument : `{${argument}}`);

/** Without `$`, `\( \)` or `\[ \]` around the whole, a final period, and space at the ends. */
function trimmed(text: string): string {
  const inner = text.replace(/^[\s$]+/, '').replace(/[\s$]+$/, '');
  for (const [open, close] of delimiters) {
    if (inner.startsWith(open) && inner.endsWith(close)) return inner.slice(open.length, -close.length).trim();
  }
  return inner.endsWith('.') ? inner.slice(0, -1).trimEnd() : inner;
}

/**
 * One spelling for the many ways to typeset the same answer. It never works anything out:
 *
 * - `\left`, `\right`, `\displaystyle`, `\!` removed; every space command a single space
 * - `\text{...}` and its like opened; `\dfrac12`, `\tfrac{1}2`, `\cfrac` written `\frac{1}{2}`
 * - `\%` and `\$` plain; `{,}` a comma; `\,` between a digit and three digits a comma; the Unicode minus a hyphen
 * - `$...$`, `\(...\)`, `\[...\]` around the whole, and a final period, taken off
 *
 * - `text`: an answer; the cost is at worst quadratic in its length, so cap the length first, as `verify` does
 *
 * @example plainLatex('$\\dfrac12$.') // '\\frac{1}{2}'
 */
export function plainLatex(text: string): string {
  let plain = text
    .replace(/\u2212/g, '-')
    .replace(/\{,\}/g, ',')
    .replace(/(\d)\\,(?=\d{3}(?!\d))/g, '$1,')
    .replace(cosmetic, '')
    .replace(/\\([%$])/g, '$1')
    .replace(textCommand, '$1')
    .replace(fraction, (_, above: string, below: string) => `\\frac${braced(above)}${braced(below)}`)
    .replace(spaces, ' ')
    .replace(/ {2,}/g, ' ');
  for (let before = ''; before !== plain; ) {
    before = plain;
    plain = trimmed(plain);
  }
  return plain;
}

/** `plainLatex`, out of a box that holds the whole text. */
export function plainAnswer(text: string): string {
  const plain = plainLatex(text);
  const content = /^\\(?:boxed|fbox)\s*\{.*\}$/s.test(plain) ? lastBoxed(plain) : undefined;
  const wholeBox = content !== undefined && plain.replace(/^\\(?:boxed|fbox)\s*\{/, '') === `${content}}`;
  return wholeBox ? plainLatex(content) : plain;
}
