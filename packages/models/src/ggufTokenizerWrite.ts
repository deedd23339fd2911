// A tokenizer as the metadata of a GGUF file: the inverse of ggufTokenizer.ts.
//
// The keys and what goes into them: ggml-org/ggml, docs/gguf.md, "Tokenizer", and what llama.cpp's own converter writes
// (gguf-py/gguf/vocab.py, `SpecialVocab`).
import { join } from 'node:path';
import type { GgufValue } from '@soft-tokens/tensor';
import { show } from './files.js';
import { preTokenizerOf } from './ggufPreTokenizers.js';
import { byteToken, paddingToken, SPACE, splitsOfPiece, tokenType } from './ggufTokenizer.js';
import type { TokenizerPart } from './nativeParts.js';
import { chatTemplateOf, createTokenizer, readTokenizerConfig, type TokenizerFiles } from './tokenizer.js';

interface BpeModel {
  type: unknown;
  vocab: Record<string, number>;
  merges: readonly (string | readonly [string, string])[];
  unk_token?: string | null;
  byte_fallback?: boolean;
  ignore_merges?: boolean;
  dropout?: unknown;
  continuing_subword_prefix?: string | null;
  end_of_word_suffix?: string | null;
}

interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
  single_word?: boolean;
}

/**
 * A tokenizer as GGUF metadata, for a model of `vocabSize` ids: `tokenizer.ggml.*` and `tokenizer.chat_template`. Ids
 * the tokenizer has no token for become unused padding tokens. `where` names the directory in errors.
 *
 * llama.cpp composes no characters (Unicode NFC), and puts a space before text that follows a special token where it
 * puts one before the first; tokenizers that do otherwise are written, since its own converter does the same.
 *
 * @throws Error for a tokenizer that is no byte-level BPE or SentencePiece BPE, or splits or joins text as llama.cpp
 * does not, and for one with ids that the model has not.
 * @example const metadata = tokenizerToGguf({ tokenizer, config }, { vocabSize: model.vocabSize });
 */
export function tokenizerToGguf(
  files: TokenizerFiles,
  { vocabSize }: { vocabSize: number },
  where = '.',
): Map<string, GgufValue> {
  const tokenizer = createTokenizer(files, where); // which checks the files
  const file = join(where, 'tokenizer.json');
  const json = files.tokenizer as Record<string, unknown>;
  if (tokenizer.maxId >= vocabSize) {
    throw new Error(`${file}: expected ids below the model's vocabulary of ${vocabSize}, got ${tokenizer.maxId}`);
  }
  const model = requireBpe(json.model, file);
  const added = (json.added_tokens ?? []) as AddedToken[];
  for (const token of added) requirePlain(token, file);
  const metadata = new Map<string, GgufValue>();
  const set = (name: string, value: GgufValue) => metadata.set(`tokenizer.ggml.${name}`, value);

  const kind = model.byte_fallback === true ? sentencePiece(json, model, added, file) : byteLevel(json, model, file);
  const { tokens, types } = vocabulary(model, added, kind.isSentencePiece, vocabSize);
  set('model', { type: 'string', value: kind.isSentencePiece ? 'llama' : 'gpt2' });
  set('pre', { type: 'string', value: kind.isSentencePiece ? 'default' : kind.pre });
  set('tokens', { type: 'array', of: 'string', value: tokens });
  set('token_type', { type: 'array', of: 'int32', value: types });
  if (kind.isSentencePiece) {
    set('scores', { type: 'array', of: 'float32', value: scoresOf(tokens, kind.order) });
    set('add_space_prefix', { type: 'bool', value: kind.prefix });
  } else {
    set('merges', { type: 'array', of: 'string', value: kind.merges });
  }
  setSpecials(set, files, tokenizer, tokens, where);
  const template = chatTemplateOf(files, where);
  if (template !== undefined) metadata.set('tokenizer.chat_template', { type: 'string', value: template });
  return metadata;
}

type Kind =
  | { isSentencePiece: false; pre: string; merges: string[] }
  | { isSentencePiece: true; prefix: boolean; order: ReadonlyMap<string, number> };

function byteLevel(json: Record<string, unknown>, model: BpeModel, file: string): Kind {
  const { type } = (json.normalizer ?? { type: 'none' }) as TokenizerPart;
  const { names, composes } = preTokenizerOf(json.pre_tokenizer, model.ignore_merges === true, file);
  if (type !== 'none' && !(composes && type === 'NFC')) throw unwritable(file, 'normalizer', 'none', json.normalizer);
  return { isSentencePiece: false, pre: names[0]!, merges: pairsOf(model).map(([left, right]) => `${left} ${right}`) };
}

function sentencePiece(
  json: Record<string, unknown>,
  model: BpeModel,
  added: readonly AddedToken[],
  file: string,
): Kind {
  const prefix = spacePrefix(json, file);
  const missing = Array.from({ length: 256 }, (_, byte) => byteToken(byte)).find(
    (token) => !Object.hasOwn(model.vocab, token),
  );
  if (missing !== undefined) throw unwritable(file, 'vocab', 'a token for each byte', `none for ${missing}`);
  return { isSentencePiece: true, prefix, order: orderOfPieces(model, added, file) };
}

/** Whether a space is put before text, by any of the ways to say so. */
function spacePrefix({ normalizer, pre_tokenizer }: Record<string, unknown>, file: string): boolean {
  const parts = partsOf(normalizer, 'normalizers');
  const metaspace = partsOf(pre_tokenizer, 'pretokenizers');
  const [first] = metaspace;
  if (parts.length === 0 && metaspace.length === 1 && first!.type === 'Metaspace') {
    const { replacement, prepend_scheme = 'always', split = true } = first!;
    if (replacement === SPACE && split === false) return prepend_scheme !== 'never';
  }
  const escapes = (part: TokenizerPart | undefined) =>
    part?.type === 'Replace' && part.content === SPACE && isSpace(part);
  // After spaces are escaped there is none to split by, as Gemma's file does.
  const idle = metaspace.every((part) => part.type === 'Split' && isSpace(part));
  if (idle && parts.length === 1 && escapes(parts[0])) return false;
  if (idle && parts.length === 2 && parts[0]!.type === 'Prepend' && parts[0]!.prepend === SPACE && escapes(parts[1])) {
    return true;
  }
  throw unwritable(file, 'normalizer', `spaces to become ${SPACE}, and nothing else`, { normalizer, pre_tokenizer });
}

const isSpace = ({ pattern }: TokenizerPart) => (pattern as { String?: unknown } | undefined)?.String === ' ';

function partsOf(part: unknown, members: string): TokenizerPart[] {
  if (typeof part !== 'object' || part === null) return [];
  const inner = (part as TokenizerPart)[members];
  return Array.isArray(inner) ? inner : [part as TokenizerPart];
}

/**
 * Which piece comes before which, from the merges. Scores can say an order of pieces only, and llama.cpp joins any two
 * neighbours that make a piece; so all splits of a piece must be merges, one after the other.
 */
function orderOfPieces(model: BpeModel, added: readonly AddedToken[], file: string): Map<string, number> {
  const ids = new Map(Object.entries(model.vocab));
  const matchedBefore = new Set(added.map(({ content }) => content));
  const counts = new Map<string, number>();
  let last = '';
  for (const [left, right] of pairsOf(model)) {
    const piece = left + right;
    if (matchedBefore.has(piece)) continue;
    const count = counts.get(piece);
    if (count !== undefined && piece !== last) {
      throw unwritable(file, 'merges', 'those of one piece to stand together', `${left} ${right} apart`);
    }
    counts.set(piece, (count ?? 0) + 1);
    last = piece;
  }
  for (const piece of ids.keys()) {
    if (matchedBefore.has(piece) || /^<0x[0-9A-F]{2}>$/.test(piece)) continue;
    const splits = [...splitsOfPiece(piece, ids, file)].length;
    if (splits === (counts.get(piece) ?? 0)) continue;
    const got = `${counts.get(piece) ?? 0} of ${splits} for ${show(piece)}`;
    throw unwritable(file, 'merges', 'every way to put a piece together', got);
  }
  return new Map([...counts.keys()].map((piece, i) => [piece, i]));
}

/** Scores that sort pieces as their merges do; pieces that no merge leads to come last. */
function scoresOf(tokens: readonly string[], order: ReadonlyMap<string, number>): Float32Array {
  return Float32Array.from(tokens, (token) => -(order.get(token) ?? order.size));
}

const pairsOf = ({ merges }: BpeModel): (readonly [string, string])[] =>
  merges.map((merge) => (typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge));

function vocabulary(
  model: BpeModel,
  added: readonly AddedToken[],
  isSentencePiece: boolean,
  vocabSize: number,
): { tokens: string[]; types: Int32Array } {
  const { normal, unknown, control, userDefined, unused, byte } = tokenType;
  const tokens = Array.from({ length: vocabSize }, (_, id) => paddingToken(id));
  const types = new Int32Array(vocabSize).fill(unused);
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = isSentencePiece && /^<0x[0-9A-F]{2}>$/.test(token) ? byte : normal;
  }
  for (const { id, content, special } of added) {
    // llama.cpp looks for them before spaces are escaped.
    tokens[id] = isSentencePiece && special !== true ? content.replaceAll(SPACE, ' ') : content;
    types[id] = special === true ? (isSentencePiece && content === model.unk_token ? unknown : control) : userDefined;
  }
  return { tokens, types };
}

function setSpecials(
  set: (name: string, value: GgufValue) => void,
  files: TokenizerFiles,
  tokenizer: ReturnType<typeof createTokenizer>,
  tokens: readonly string[],
  where: string,
): void {
  const config = readTokenizerConfig(files, where);
  const setId = (name: string, id: number | undefined) => {
    if (id !== undefined) set(`${name}_token_id`, { type: 'uint32', value: id });
  };
  const idOf = (token: string | null | undefined) => {
    const id = typeof token === 'string' ? tokens.indexOf(token) : -1;
    return id < 0 ? undefined : id;
  };
  const { bosId, endIds } = tokenizer;
  const eos = idOf(config.eos_token) ?? endIds[0];
  setId('bos', bosId);
  setId('eos', eos);
  // The ends of a turn and of a message: llama.cpp ends a text at either. GGUF has no place for more.
  const [eot, eom] = endIds.filter((id) => id !== eos);
  setId('eot', eot);
  setId('eom', eom);
  setId('unknown', idOf(config.unk_token));
  setId('padding', idOf(config.pad_token));
  set('add_bos_token', { type: 'bool', value: bosId !== undefined && tokenizer.promptIds('a')[0] === bosId });
}

function requireBpe(model: unknown, file: string): BpeModel {
  const found = model as BpeModel;
  if (found.type !== 'BPE') throw unwritable(file, 'model.type', 'BPE', found.type);
  for (const name of ['dropout', 'continuing_subword_prefix', 'end_of_word_suffix'] as const) {
    if (found[name]) throw unwritable(file, `model.${name}`, 'none', found[name]);
  }
  return found;
}

function requirePlain(token: AddedToken, file: string): void {
  const option = (['lstrip', 'rstrip', 'single_word'] as const).find((name) => token[name] === true);
  if (option !== undefined) throw unwritable(file, `added_tokens: ${token.content}: ${option}`, 'false', true);
}

function unwritable(file: string, key: string, expected: string, value: unknown): Error {
  const got = typeof value === 'string' && value.length < 80 ? value : show(value);
  return new Error(`${file}: ${key}: expected ${expected}, got ${got}; it cannot be written as GGUF`);
}
