// How a byte-level BPE of a GGUF file splits text before it joins bytes: `tokenizer.ggml.pre` names it.
//
// Which name means which expressions is a fact of llama.cpp: src/llama-vocab.cpp of v0.5.0 (de3ff81),
// `llm_tokenizer_bpe` for the expressions, `llama_vocab::impl::load` for the names and what else they switch on.
// Where llama.cpp writes an expression otherwise because its own engine lacks something, the one of the models'
// tokenizer.json stands here.
import { show } from './files.js';
import { GPT2_WORDS, splitBy, type TokenizerPart } from './nativeParts.js';

/** What a name in `tokenizer.ggml.pre` stands for. */
export interface PreTokenizer {
  /** The first is the one that is written. */
  readonly names: readonly string[];
  /** Text is split by each in turn: the matches, and what is between them. */
  readonly splits: readonly string[];
  /** Whether a piece that is a token stays whole, even if no merges lead to it. */
  readonly ignoreMerges: boolean;
  /** Whether a begin-of-sequence id is added where the file does not say. */
  readonly addsBos: boolean;
  /** Whether the models' own tokenizer.json composes characters first (Unicode NFC); llama.cpp does not. */
  readonly composes: boolean;
}

const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORD = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const LLAMA3_WORDS = `${CONTRACTION}|${WORD}|\\p{N}{1,3}|${REST}`;
const QWEN2_WORDS = `${CONTRACTION}|${WORD}|\\p{N}|${REST}`;

const plain = { ignoreMerges: false, addsBos: false, composes: false };

export const preTokenizers: readonly PreTokenizer[] = [
  {
    ...plain,
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'lfm2', 'pixtral'],
    splits: [LLAMA3_WORDS],
    ignoreMerges: true,
    addsBos: true,
  },
  { ...plain, names: ['smaug-bpe', 'dbrx'], splits: [LLAMA3_WORDS] },
  { ...plain, names: ['qwen2'], splits: [QWEN2_WORDS], composes: true },
  {
    ...plain,
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'],
    splits: ['\\p{N}', GPT2_WORDS],
  },
  { ...plain, names: ['gpt-2', 'phi-2', 'mpt', 'olmo', 'jais', 'trillion'], splits: [GPT2_WORDS] },
  {
    ...plain,
    names: ['default'],
    splits: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2_WORDS, '\\p{N}+', '[0-9][0-9][0-9]'],
  },
];

/** What a `tokenizer.ggml.pre` stands for. Throws naming `where` for one that is not known. */
export function preTokenizerNamed(name: string | undefined, where: string): PreTokenizer {
  const found = preTokenizers.find(({ names }) => names.includes(name ?? ''));
  if (found) return found;
  const known = preTokenizers.flatMap(({ names }) => names).join(', ');
  const got = name === undefined ? 'none; convert the model with a newer llama.cpp' : show(name);
  throw new Error(`${where}: tokenizer.ggml.pre: expected one of ${known}, got ${got}`);
}

/** The `pre_tokenizer` of a tokenizer.json, in the words that the models' own files use. */
export function preTokenizerPart({ splits }: PreTokenizer): TokenizerPart {
  const words = splits.at(-1) === GPT2_WORDS;
  const pretokenizers = (words ? splits.slice(0, -1) : splits).map((split) =>
    split === '\\p{N}' ? { type: 'Digits', individual_digits: true } : splitBy(split),
  );
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: words };
  return pretokenizers.length === 0 ? bytes : { type: 'Sequence', pretokenizers: [...pretokenizers, bytes] };
}

/** The entry a tokenizer.json splits like. Throws naming `where` for one that GGUF has no name for here. */
export function preTokenizerOf(part: unknown, ignoreMerges: boolean, where: string): PreTokenizer {
  const splits = splitsOf(part);
  const same = preTokenizers.filter((entry) => JSON.stringify(entry.splits) === JSON.stringify(splits));
  // Keeping whole tokens whole changes nothing where merges lead to each of them, as they do outside of this family.
  const found = same.find((entry) => entry.ignoreMerges === ignoreMerges) ?? (ignoreMerges ? undefined : same[0]);
  if (found) return found;
  const known = preTokenizers.map(({ names }) => names[0]).join(', ');
  throw new Error(
    `${where}: pre_tokenizer: expected that of one of ${known}, got ${show(part)}` +
      `${ignoreMerges ? ' with ignore_merges' : ''}; it cannot be written as GGUF`,
  );
}

/** The expressions a `pre_tokenizer` splits by before bytes, or `undefined` for what is no such list. */
function splitsOf(part: unknown): string[] | undefined {
  const parts = flatten(part);
  const last = parts.pop();
  if (last?.type !== 'ByteLevel' || last.add_prefix_space === true) return undefined;
  const splits = parts.map(splitOf);
  if (last.use_regex !== false) splits.push(GPT2_WORDS);
  return splits.every((split) => split !== undefined) ? splits : undefined;
}

function splitOf(part: TokenizerPart): string | undefined {
  if (part.type === 'Digits') return part.individual_digits === true ? '\\p{N}' : '\\p{N}+';
  const { Regex } = (part.pattern ?? {}) as { Regex?: unknown };
  const isolated = part.type === 'Split' && part.behavior === 'Isolated' && part.invert !== true;
  return isolated && typeof Regex === 'string' ? Regex : undefined;
}

function flatten(part: unknown): TokenizerPart[] {
  if (typeof part !== 'object' || part === null) return [];
  const { type, pretokenizers } = part as TokenizerPart;
  return type === 'Sequence' && Array.isArray(pretokenizers) ? pretokenizers.flatMap(flatten) : [part as TokenizerPart];
}
