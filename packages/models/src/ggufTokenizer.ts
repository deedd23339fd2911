// The tokenizer inside a GGUF file, as the files of a Hugging Face directory.
//
// Facts about the keys: the GGUF specification (ggml-org/ggml, docs/gguf.md, "Tokenizer"); what llama.cpp assumes where
// a key is absent: src/llama-vocab.cpp of v0.5.0, `llama_vocab::impl::load`.
import type { GgufMetadata } from '@soft-tokens/tensor';
import { show } from './files.js';
import { type MetadataReader, metadataReader } from './ggufMetadata.js';
import { preTokenizerNamed, preTokenizerPart } from './ggufPreTokenizers.js';
import type { TokenizerPart } from './nativeParts.js';
import type { TokenizerFiles } from './tokenizer.js';

/** `tokenizer.ggml.token_type`. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Tokenizer files that can be saved as JSON and opened by transformers; `chatTemplate` is chat_template.jinja. */
export interface GgufTokenizerFiles extends TokenizerFiles {
  tokenizer: Record<string, unknown>;
  config: Record<string, unknown>;
  endIds: readonly number[];
  chatTemplate: string | undefined;
}

/** What every kind of tokenizer has, read and checked. */
interface Vocabulary {
  /** Text of each id; `undefined` for an id that only pads. */
  tokens: readonly (string | undefined)[];
  types: ArrayLike<number>;
  where: string;
}

/** What decides whether ids begin and end a text. */
interface Specials {
  bos: number | undefined;
  eos: number | undefined;
  unknown: number | undefined;
  padding: number | undefined;
  addsBos: boolean;
  addsEos: boolean;
}

const key = (name: string) => `tokenizer.ggml.${name}`;

/**
 * The tokenizer of a GGUF file, from its metadata: byte-level BPE (`gpt2`) and SentencePiece's BPE (`llama`), as the
 * contents of tokenizer.json, tokenizer_config.json and chat_template.jinja. `where` names the file in errors.
 *
 * Ids are llama.cpp's, with two exceptions where it parts from the models' own tokenizers: `qwen2` composes characters
 * first (NFC), and a byte without a token is dropped before pieces are joined, not after.
 *
 * @throws Error naming the key for one that is missing or malformed, for another kind of tokenizer, and for a
 * `tokenizer.ggml.pre` that is not known.
 * @example const tokenizer = createTokenizer(tokenizerFromGguf(metadata, 'model.gguf'));
 */
export function tokenizerFromGguf(metadata: GgufMetadata, where = 'GGUF'): GgufTokenizerFiles {
  const read = metadataReader(metadata, where);
  const kind = read.text(key('model'));
  if (kind === 'gpt2') return byteLevel(read, where);
  if (kind === 'llama') return sentencePiece(read, where);
  const got = kind === undefined ? 'none' : show(kind);
  throw new Error(`${where}: ${key('model')}: expected gpt2 or llama, got ${got}; use the model's tokenizer.json`);
}

function byteLevel(read: MetadataReader, where: string): GgufTokenizerFiles {
  const pre = preTokenizerNamed(read.text(key('pre')), where);
  const vocabulary = readVocabulary(read, where);
  const ids = idsOf(vocabulary);
  const merges = read.texts(key('merges'));
  if (!merges) throw new Error(`${where}: ${key('merges')}: expected the merges of a byte-level BPE, got none`);
  merges.forEach((merge, i) => {
    const space = merge.indexOf(' ', 1);
    const [left, right] = [merge.slice(0, space), merge.slice(space + 1)];
    if (space > 0 && ids.has(left) && ids.has(right) && ids.has(left + right)) return;
    throw new Error(`${where}: ${key('merges')}[${i}]: expected two tokens that join to a token, got ${show(merge)}`);
  });
  const specials = readSpecials(read, vocabulary, { addsBos: pre.addsBos });
  return filesOf(read, vocabulary, specials, {
    normalizer: pre.composes ? { type: 'NFC' } : null,
    pre_tokenizer: preTokenizerPart(pre),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { ...bpe, ignore_merges: pre.ignoreMerges, vocab: Object.fromEntries(ids), merges },
  });
}

function sentencePiece(read: MetadataReader, where: string): GgufTokenizerFiles {
  const vocabulary = readVocabulary(read, where);
  const { tokens } = vocabulary;
  const scores = read.numbers(key('scores'), tokens.length);
  if (!scores) throw new Error(`${where}: ${key('scores')}: expected a score for each token, got none`);
  const notANumber = scores.findIndex((score: number) => Number.isNaN(score));
  if (notANumber >= 0) throw new Error(`${where}: ${key('scores')}[${notANumber}]: expected a number, got NaN`);
  const ids = idsOf(vocabulary);
  const missing = Array.from({ length: 256 }, (_, byte) => byteToken(byte)).find((token) => !ids.has(token));
  if (missing !== undefined) {
    throw new Error(`${where}: ${key('tokens')}: expected a token for each byte, got none for ${missing}`);
  }
  const specials = readSpecials(read, vocabulary, { addsBos: true, bos: 1, eos: 2, unknown: 0 });
  const unknown = specials.unknown === undefined ? undefined : tokens[specials.unknown];
  const prefix = read.flag(key('add_space_prefix')) ?? true;
  const escapeSpaces = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  const decoders: TokenizerPart[] = [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ];
  if (prefix) decoders.push({ type: 'Strip', content: ' ', start: 1, stop: 0 });
  return filesOf(read, vocabulary, specials, {
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, escapeSpaces] }
      : escapeSpaces,
    pre_tokenizer: null,
    decoder: { type: 'Sequence', decoders },
    model: {
      ...bpe,
      unk_token: unknown ?? null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: mergesOfScores(ids, scores, vocabulary),
    },
  });
}

/** SentencePiece's space. */
export const SPACE = '\u2581';

/** SentencePiece's name of a byte that no piece has. */
export const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

const bpe = {
  type: 'BPE',
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
};

/** Code units of a piece whose splits are looked for, which takes their square; real ones have a tenth. */
const LONGEST_PIECE = 256;
/** Merges for each token, on average: Llama 2 and Gemma have two. More could be made of a file than it has bytes. */
const MOST_MERGES = 20;

/** Every way to put a piece together from two others. Throws naming `where` for one that is too long to try them all. */
export function* splitsOfPiece(
  piece: string,
  ids: ReadonlyMap<string, number>,
  where: string,
): Generator<[string, string]> {
  if (piece.length > LONGEST_PIECE) {
    const expected = `tokens of at most ${LONGEST_PIECE} characters in a SentencePiece BPE`;
    throw new Error(`${where}: expected ${expected}, got ${piece.length} in ${show(piece)}`);
  }
  const characters = [...piece];
  let left = '';
  for (let i = 0; i < characters.length - 1; i++) {
    left += characters[i]!;
    const right = piece.slice(left.length);
    if (ids.has(left) && ids.has(right)) yield [left, right];
  }
}

/**
 * SentencePiece joins the neighbours whose piece scores highest; a BPE with merges joins those whose merge is first. So:
 * the pieces from the highest score to the lowest, each with all its splits, those of low ids first.
 *
 * Of neighbours that overlap and make the same piece, such as "aa" "a" "aa", SentencePiece takes the leftmost, and a
 * list of merges the pair that is first in it; they part only there.
 */
function mergesOfScores(
  ids: ReadonlyMap<string, number>,
  scores: ArrayLike<number>,
  { types, where }: Vocabulary,
): string[] {
  const { normal, userDefined, unused } = tokenType;
  // A piece with a plain space is matched before spaces are escaped, or never.
  const pieces = [...ids].filter(
    ([piece, id]) => [normal, userDefined, unused].includes(types[id] as 1) && !piece.includes(' '),
  );
  pieces.sort(([, a], [, b]) => scores[b]! - scores[a]! || a - b);
  const merges: string[] = [];
  for (const [piece] of pieces) {
    const splits = [...splitsOfPiece(piece, ids, `${where}: ${key('tokens')}`)];
    splits.sort(([a, b], [c, d]) => ids.get(a)! - ids.get(c)! || ids.get(b)! - ids.get(d)!);
    for (const [left, right] of splits) merges.push(`${left} ${right}`);
    if (merges.length > MOST_MERGES * ids.size) {
      throw new Error(`${where}: ${key('tokens')}: expected at most ${MOST_MERGES} ways a token to make one, got more`);
    }
  }
  return merges;
}

function readVocabulary(read: MetadataReader, where: string): Vocabulary {
  const stored = read.texts(key('tokens'));
  if (!stored || stored.length === 0) throw new Error(`${where}: ${key('tokens')}: expected a vocabulary, got none`);
  const types = read.numbers(key('token_type'), stored.length) ?? new Uint8Array(stored.length).fill(tokenType.normal);
  const tokens = stored.map((token, id) => {
    if (types[id] === tokenType.unused && token === paddingToken(id)) return undefined;
    return token === '' ? `[EMPTY_${id}]` : token; // as llama.cpp names it
  });
  return { tokens, types, where };
}

/** How converters name an id that the weights have and the tokenizer has not. */
export const paddingToken = (id: number) => `[PAD${id}]`;

function idsOf({ tokens, where }: Vocabulary): Map<string, number> {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (token === undefined) return;
    const other = ids.get(token);
    if (other !== undefined) {
      const got = `${show(token)} as ${other} and ${id}`;
      throw new Error(`${where}: ${key('tokens')}: expected every token once, got ${got}`);
    }
    ids.set(token, id);
  });
  return ids;
}

function readSpecials(
  read: MetadataReader,
  { tokens, where }: Vocabulary,
  assumed: { addsBos: boolean; bos?: number; eos?: number; unknown?: number },
): Specials {
  const id = (name: string, otherwise?: number) =>
    read.index(key(`${name}_token_id`), tokens.length) ??
    (otherwise !== undefined && otherwise < tokens.length ? otherwise : undefined);
  const specials: Specials = {
    bos: id('bos', assumed.bos),
    eos: id('eos', assumed.eos),
    unknown: id('unknown', assumed.unknown),
    padding: id('padding'),
    addsBos: read.flag(key('add_bos_token')) ?? assumed.addsBos,
    addsEos: read.flag(key('add_eos_token')) ?? false,
  };
  for (const [name, adds, which] of [
    ['bos', specials.addsBos, specials.bos],
    ['eos', specials.addsEos, specials.eos],
  ] as const) {
    if (!adds || (which !== undefined && tokens[which] !== undefined)) continue;
    throw new Error(`${where}: ${key(`${name}_token_id`)}: expected the id that add_${name}_token adds, got none`);
  }
  return specials;
}

function filesOf(
  read: MetadataReader,
  { tokens, types }: Vocabulary,
  specials: Specials,
  parts: Record<string, unknown>,
): GgufTokenizerFiles {
  const { control, unknown, userDefined } = tokenType;
  const added_tokens = tokens.flatMap((content, id) => {
    if (content === undefined || ![control, unknown, userDefined].includes(types[id] as 3)) return [];
    const special = types[id] !== userDefined;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const endIds = [
    specials.eos,
    read.index(key('eot_token_id'), tokens.length),
    read.index(key('eom_token_id'), tokens.length),
  ].filter((id) => id !== undefined);
  const named = Object.entries({
    bos_token: specials.bos,
    eos_token: specials.eos,
    unk_token: specials.unknown,
    pad_token: specials.padding,
  }).flatMap(([name, id]) => (id === undefined || tokens[id] === undefined ? [] : [[name, tokens[id]]]));
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens,
      ...parts,
      post_processor: postProcessor(tokens, specials),
    },
    config: {
      add_bos_token: specials.addsBos,
      ...(specials.addsEos && { add_eos_token: true }),
      ...Object.fromEntries(named),
      clean_up_tokenization_spaces: false,
      tokenizer_class: 'PreTrainedTokenizerFast',
    },
    endIds: [...new Set(endIds)],
    chatTemplate: read.text('tokenizer.chat_template'),
  };
}

/** What adds the begin and the end of a text, where something does. */
function postProcessor(tokens: Vocabulary['tokens'], { bos, eos, addsBos, addsEos }: Specials): TokenizerPart | null {
  if (!addsBos && !addsEos) return null;
  const begin = addsBos ? [bos!] : [];
  const end = addsEos ? [eos!] : [];
  const around = (name: string, type_id: number) => [
    ...begin.map((id) => ({ SpecialToken: { id: tokens[id]!, type_id } })),
    { Sequence: { id: name, type_id } },
    ...end.map((id) => ({ SpecialToken: { id: tokens[id]!, type_id } })),
  ];
  const special_tokens = Object.fromEntries(
    [...begin, ...end].map((id) => [tokens[id]!, { id: tokens[id]!, ids: [id], tokens: [tokens[id]!] }]),
  );
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens,
  };
}
