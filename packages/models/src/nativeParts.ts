// `@huggingface/tokenizers` reads a few parts of a tokenizer.json otherwise than the native `tokenizers` does, on which
// models are trained. Here such parts are written as others that both read alike; reference/tokenizer_fixtures.py has
// the native ids that this is tested against.

/** A part of a tokenizer.json: an object with a `type`. */
export type TokenizerPart = { type?: unknown } & Record<string, unknown>;

/**
 * The words of GPT-2, which a `ByteLevel` pre-tokenizer with `use_regex` splits into.
 *
 * Source: openai/gpt-2, src/encoder.py, `Encoder.pat`.
 */
export const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A `Split` pre-tokenizer whose matches, and what lies between them, become pieces of their own. */
export const splitBy = (Regex: string): TokenizerPart => ({
  type: 'Split',
  pattern: { Regex },
  behavior: 'Isolated',
  invert: false,
});

/** Characters outside of ASCII that a case-insensitive ASCII letter matches too: CaseFolding.txt of Unicode. */
const folded: Readonly<Record<string, string>> = { s: '\u017f', k: '\u212a' };

/** GPT-2's printable name of each byte: itself where that is printable, else a character from U+0100 on. */
export function byteNames(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

/** A tokenizer.json as its JavaScript reader must see it to do what the native one does. Shares what stays the same. */
export function asNative(tokenizer: Record<string, unknown>): Record<string, unknown> {
  const split = preTokenizer(tokenizer.pre_tokenizer);
  const missing = namesWithoutToken(tokenizer.model);
  if (missing === '' || !isPart(split)) return { ...tokenizer, pre_tokenizer: split };
  // A byte without a token is dropped natively before pieces are joined, by the JavaScript reader only after.
  const drop = { type: 'Replace', pattern: { Regex: `[${missing}]` }, content: '' };
  return { ...tokenizer, pre_tokenizer: { type: 'Sequence', pretokenizers: [split, drop] } };
}

/** The byte names a byte-level BPE has no token for, escaped for a character class. SmolLM2 has 21 of them. */
function namesWithoutToken(model: unknown): string {
  if (!isPart(model) || model.type !== 'BPE' || typeof model.unk_token === 'string' || model.byte_fallback === true) {
    return '';
  }
  const vocab = (model.vocab ?? {}) as Record<string, number>;
  const missing = byteNames().filter((name) => !Object.hasOwn(vocab, name));
  return missing.length < 256 ? missing.map((name) => `\\x{${name.codePointAt(0)!.toString(16)}}`).join('') : '';
}

function preTokenizer(value: unknown): unknown {
  if (!isPart(value)) return value;
  switch (value.type) {
    case 'Sequence':
      return Array.isArray(value.pretokenizers)
        ? { ...value, pretokenizers: value.pretokenizers.map(preTokenizer) }
        : value;
    // Read as the digits 0 to 9; natively every numeric character: "²", "٣", "Ⅷ".
    case 'Digits':
      return splitBy(value.individual_digits === true ? '\\p{N}' : '\\p{N}+');
    // Its `\s` is that of JavaScript, with U+FEFF and without U+0085; in a Split it is White_Space.
    case 'ByteLevel':
      return value.use_regex === false ? value : byteLevel(value);
    case 'Split':
      return { ...value, pattern: foldedPattern(value.pattern) };
    default:
      return value;
  }
}

function byteLevel(part: TokenizerPart): TokenizerPart {
  // The space before a piece comes first, so that a word is split off with it.
  const prefix = { type: 'Replace', pattern: { Regex: '\\A[^ ]' }, content: ' $&' };
  const bytes = { ...part, use_regex: false, add_prefix_space: false };
  const pretokenizers = [...(part.add_prefix_space === true ? [prefix] : []), splitBy(GPT2_WORDS), bytes];
  return { type: 'Sequence', pretokenizers };
}

/** `(?i:...)` with its letters written out, since the JavaScript reader folds the case of ASCII only: "'ſ" is an "'s". */
function foldedPattern(pattern: unknown): unknown {
  const { Regex: regex, ...rest } = (pattern ?? {}) as { Regex?: unknown };
  if (typeof regex !== 'string') return pattern;
  const unfolded = regex.replace(/\(\?i:((?:[a-zA-Z'|]|\[[a-zA-Z]+\])*)\)/g, (_, group: string) => {
    const letters = group.replace(/\[[a-zA-Z]+\]|[a-zA-Z]/g, (atom) => `[${[...atom].map(eitherCase).join('')}]`);
    return `(?:${letters})`;
  });
  return { ...rest, Regex: unfolded };
}

function eitherCase(character: string): string {
  if (character === '[' || character === ']') return '';
  const lower = character.toLowerCase();
  return `${lower}${lower.toUpperCase()}${folded[lower] ?? ''}`;
}

const isPart = (value: unknown): value is TokenizerPart =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
