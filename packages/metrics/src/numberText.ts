import { type Rational, rationalOver, rationalPower, rationalTimes } from './rational.js';

/** A number as an answer states it. */
export interface StatedNumber {
  /** The number in front of the percent sign, if there is one: 50 for `50%`. */
  readonly value: Rational;
  readonly percent: boolean;
}

const decimalPattern = /^([+-]?) ?(?:(\d+|[1-9]\d{0,2}(?:,\d{3})+)(?:\.(\d+))?|\.(\d+))$/;

/** `-1,234.50`: a sign, digits with or without thousands separators, a decimal part. */
function parseDecimal(text: string): Rational | undefined {
  const match = decimalPattern.exec(text.trim());
  if (!match) return undefined;
  const [, sign, whole = '', decimals = '', onlyDecimals = ''] = match;
  const part = decimals + onlyDecimals;
  const digits = BigInt(whole.replaceAll(',', '') + part);
  return { numerator: sign === '-' ? -digits : digits, denominator: 10n ** BigInt(part.length) };
}

/** `\frac{a}{b}` or `a/b`, with decimals for a and b. */
function parseFraction(text: string): Rational | undefined {
  const match = /^\\frac\{([^{}]*)\}\{([^{}]*)\}$/.exec(text) ?? /^([^/]+)\/([^/]+)$/.exec(text);
  if (!match) return undefined;
  const above = parseDecimal(match[1]!);
  const below = parseDecimal(match[2]!);
  return above && below && rationalOver(above, below);
}

/** `a^{b}`, `a^b` with one digit b (LaTeX reads `2^10` as 2¹0), and `m \times 10^{b}`. */
function parsePower(text: string): Rational | undefined {
  const match = /^(?:([\d.,]+) ?(?:\\times|\\cdot|×|\*) ?(?=10\^))?(\d+)\^(?:\{([+-]?\d+)\}|(\d))$/.exec(text);
  if (!match) return undefined;
  const [, factor, base, exponent, digit] = match;
  const power = rationalPower(BigInt(base!), BigInt(exponent ?? digit!));
  if (factor === undefined || power === undefined) return power;
  const times = parseDecimal(factor);
  return times && rationalTimes(times, power);
}

/**
 * Reads one number exactly, or returns undefined for anything else. Nothing is rounded and no float is involved.
 *
 * Read: signs, decimals, thousands separators in groups of three, `$` in front, `%`, `percent` or `pct` behind, a/b and
 * `\frac{a}{b}`, small powers, one pair of parentheses or braces around the whole. Not read: mixed numbers (`1 1/2`),
 * a comma as decimal sign, sums and products, units, `1e5`, NaN and infinity.
 *
 * - `text`: as `plainLatex` leaves it
 *
 * @example parseNumber('-\\frac{10}{4}') // { value: { numerator: -10n, denominator: 4n }, percent: false }
 */
export function parseNumber(text: string): StatedNumber | undefined {
  const trimmed = text.trim();
  const percent = / ?(?:%|percent|pct)$/.exec(trimmed);
  const stated = percent ? trimmed.slice(0, percent.index) : trimmed;
  const inner = /^\(([^(),]*)\)$/.exec(stated)?.[1] ?? /^\{([^{},]*)\}$/.exec(stated)?.[1] ?? stated;
  const [, sign, body] = /^([+-]?) ?\$?(.*)$/s.exec(inner.trim())!;
  const size = parseDecimal(body!) ?? parseFraction(body!) ?? parsePower(body!);
  if (size === undefined || (sign && /^[+-]/.test(body!))) return undefined; // `--5` is no number
  const value = sign === '-' ? { ...size, numerator: -size.numerator } : size;
  return { value, percent: percent !== null };
}
