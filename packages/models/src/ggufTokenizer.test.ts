import type { GgufValue } from '@soft-tokens/tensor';
import { describe, expect, test } from 'vitest';
import { preTokenizers } from './ggufPreTokenizers.js';
import { tokenizerFromGguf } from './ggufTokenizer.js';
import { tokenizerToGguf } from './ggufTokenizerWrite.js';
import { hardTexts, llamaCpp } from './test/tokenizerFixtures.js';
import { createTokenizer } from './tokenizer.js';

type Entries = Record<string, GgufValue>;

const { byteLevel, sentencePiece, ids } = llamaCpp();
const strings = (value: string[]): GgufValue => ({ type: 'array', of: 'string', value });
const id = (value: number): GgufValue => ({ type: 'uint32', value });
const text = (value: string): GgufValue => ({ type: 'string', value });
const flag = (value: boolean): GgufValue => ({ type: 'bool', value });

const common = ({ tokens, types, bos, eos }: typeof byteLevel | typeof sentencePiece): Entries => ({
  tokens: strings(tokens),
  token_type: { type: 'array', of: 'int32', value: Int32Array.from(types) },
  bos_token_id: id(bos),
  eos_token_id: id(eos),
  add_bos_token: flag(false),
});
const gpt2: Entries = { model: text('gpt2'), ...common(byteLevel), merges: strings(byteLevel.merges) };
const llama: Entries = {
  model: text('llama'),
  ...common(sentencePiece),
  scores: { type: 'array', of: 'float32', value: Float32Array.from(sentencePiece.scores) },
};
const metadata = (entries: Entries) =>
  new Map(Object.entries(entries).map(([name, value]) => [`tokenizer.ggml.${name}`, value]));

describe('ids are those of llama.cpp', () => {
  test.each(['llama-bpe', 'smaug-bpe', 'smollm', 'gpt-2', 'default', 'qwen2'])('pre %s', (pre) => {
    const tokenizer = createTokenizer(tokenizerFromGguf(metadata({ ...gpt2, pre: text(pre) })));
    let compared = 0;
    hardTexts.forEach((hard, i) => {
      // Qwen's own tokenizer composes characters, and "'ſ" is an "'s" where case is folded; not so in llama.cpp.
      if (pre === 'qwen2' && hard !== hard.normalize('NFC')) return;
      if (['llama-bpe', 'smaug-bpe', 'qwen2'].includes(pre) && hard.includes("'ſ")) return;
      expect(tokenizer.encode(hard), JSON.stringify(hard)).toEqual(ids[pre]![i]);
      compared++;
    });
    expect(compared).toBeGreaterThan(80);
  });

  test.each([
    ['with-space', true],
    ['without-space', false],
  ])('SentencePiece, %s', (name, prefix) => {
    const files = tokenizerFromGguf(metadata({ ...llama, add_space_prefix: flag(prefix) }));
    const tokenizer = createTokenizer(files);
    hardTexts.forEach((hard, i) => {
      expect(tokenizer.encode(hard), JSON.stringify(hard)).toEqual(ids[name]![i]);
    });
    expect(tokenizer.decode(tokenizer.encode('  Mia has 7\n🙂'))).toBe('  Mia has 7\n🙂');
  });
});

test('a lone surrogate has the id of U+FFFD, where that is a piece', () => {
  const tokens = strings(sentencePiece.tokens.map((token) => (token === '×' ? '\ufffd' : token)));
  const tokenizer = createTokenizer(tokenizerFromGguf(metadata({ ...llama, tokens })));
  expect(tokenizer.encode('\ud800')).toEqual([sentencePiece.tokens.indexOf('▁'), sentencePiece.tokens.indexOf('×')]);
});

test('what the file says of special tokens, and what llama.cpp assumes where it does not', () => {
  const template = '{{ messages[0].content }}';
  const files = tokenizerFromGguf(
    new Map([
      ...metadata({
        ...gpt2,
        pre: text('smollm'),
        eot_token_id: id(5),
        padding_token_id: id(6),
        add_bos_token: flag(true),
      }),
      ['tokenizer.chat_template', text(template)],
    ]),
  );
  expect(files.config).toEqual({
    add_bos_token: true,
    bos_token: '<|im_start|>',
    eos_token: '<|im_end|>',
    pad_token: byteLevel.tokens[6],
    clean_up_tokenization_spaces: false,
    tokenizer_class: 'PreTrainedTokenizerFast',
  });
  const tokenizer = createTokenizer(files);
  expect(tokenizer.endIds).toEqual([byteLevel.eos, 5]);
  expect(tokenizer.promptIds('a')[0]).toBe(byteLevel.bos);
  expect(tokenizer.renderChat([{ role: 'user', content: 'hi' }])).toBe('hi');
  expect(tokenizer.decode([byteLevel.bos, 5, byteLevel.tokens.length - 1], { skipSpecialTokens: true })).toMatch(
    /.<think>$/,
  );

  const without = (entries: Entries, ...names: string[]) =>
    metadata(Object.fromEntries(Object.entries(entries).filter(([name]) => !names.includes(name))));
  const bare = createTokenizer(tokenizerFromGguf(without(llama, 'bos_token_id', 'eos_token_id', 'add_bos_token')));
  expect([bare.bosId, bare.endIds, bare.promptIds('a')[0]]).toEqual([1, [2], 1]);
  const llama3 = tokenizerFromGguf(without({ ...gpt2, pre: text('llama-bpe') }, 'add_bos_token'));
  expect(createTokenizer(llama3).promptIds('a')[0]).toBe(byteLevel.bos);
});

// Every a…ab…b is one token before another, in many ways.
const powers = Array.from({ length: 90 * 90 }, (_, i) => `${'a'.repeat(1 + (i % 90))}${'b'.repeat(i / 90)}`);
const many = { ...sentencePiece, tokens: [...sentencePiece.tokens.slice(0, 260), ...powers] };
const kinds = Int32Array.from(many.tokens, (_, i) => sentencePiece.types[i] ?? 1);

test.each<[string, Entries, string]>([
  ['another kind', { ...llama, model: text('t5') }, 'a.gguf: tokenizer.ggml.model: expected gpt2 or llama, got "t5"'],
  ['no kind', {}, 'tokenizer.ggml.model: expected gpt2 or llama, got none'],
  ['an unknown pre', { ...gpt2, pre: text('tekken-9') }, 'pre: expected one of llama-bpe, '],
  ['an unknown pre, named', { ...gpt2, pre: text('tekken-9') }, 'got "tekken-9"'],
  ['no pre', gpt2, 'got none; convert the model'],
  ['no tokens', { model: text('llama') }, 'tokenizer.ggml.tokens: expected a vocabulary, got none'],
  ['tokens of another type', { ...llama, tokens: id(3) }, 'tokenizer.ggml.tokens: expected an array of strings, got 3'],
  ['a token twice', { ...llama, tokens: strings(sentencePiece.tokens.with(9, '<s>')) }, 'got "<s>" as 1 and 9'],
  [
    'short scores',
    { ...llama, scores: { type: 'array', of: 'float32', value: new Float32Array(3) } },
    'scores: expected',
  ],
  ['no scores', { ...llama, scores: text('') }, 'scores: expected'],
  [
    'a score of NaN',
    {
      ...llama,
      scores: { type: 'array', of: 'float32', value: Float32Array.from(sentencePiece.scores.with(4, Number.NaN)) },
    },
    'scores[4]: expected a number, got NaN',
  ],
  ['a byte without a token', { ...llama, tokens: strings(sentencePiece.tokens.with(9, 'xx')) }, 'none for <0x05>'],
  [
    'an id beyond',
    { ...llama, bos_token_id: id(1e6) },
    'bos_token_id: expected a whole number from 0 to 459, got 1000000',
  ],
  ['a negative id', { ...llama, eos_token_id: { type: 'int32', value: -1 } }, 'eos_token_id: expected'],
  [
    'a piece too long to try all its splits',
    { ...llama, tokens: strings(sentencePiece.tokens.with(-1, 'a'.repeat(10_000))) },
    'tokenizer.ggml.tokens: expected tokens of at most 256 characters in a SentencePiece BPE, got 10000 in "aaaa',
  ],
  [
    'pieces that make each other in more ways than the file has bytes',
    {
      ...llama,
      tokens: strings(many.tokens),
      token_type: { type: 'array', of: 'int32', value: kinds },
      scores: { type: 'array', of: 'float32', value: new Float32Array(many.tokens.length) },
    },
    'tokenizer.ggml.tokens: expected at most 20 ways a token to make one, got more',
  ],
  [
    'a merge of unknown tokens',
    { ...gpt2, pre: text('gpt-2'), merges: strings(['a', 'Ġ zz']) },
    'merges[0]: expected two',
  ],
  ['a flag of text', { ...llama, add_space_prefix: text('no') }, 'add_space_prefix: expected true or false, got "no"'],
])('refused: %s', (_, entries, message) => {
  expect(() => tokenizerFromGguf(metadata(entries), 'a.gguf')).toThrow(message);
});

describe('written as GGUF', () => {
  const byteFiles = () => tokenizerFromGguf(metadata({ ...gpt2, pre: text('smollm'), unknown_token_id: id(7) }));
  const pieceFiles = () => tokenizerFromGguf(metadata({ ...llama, unknown_token_id: id(0) }));

  test.each(preTokenizers.map(({ names }) => names[0]!))('%s: the same metadata back', (pre) => {
    const entries = { ...gpt2, pre: text(pre), unknown_token_id: id(7) };
    const back = tokenizerToGguf(tokenizerFromGguf(metadata(entries)), { vocabSize: byteLevel.tokens.length });
    expect(back).toEqual(metadata(entries));
  });

  test('SentencePiece: all but the scores back, and those in the same order', () => {
    const back = tokenizerToGguf(pieceFiles(), { vocabSize: 460 });
    const want = metadata({ ...llama, unknown_token_id: id(0), pre: text('default'), add_space_prefix: flag(true) });
    const scores = back.get('tokenizer.ggml.scores')!.value as Float32Array;
    for (const each of [back, want]) each.delete('tokenizer.ggml.scores');
    expect(back).toEqual(want);
    const normal = sentencePiece.types.flatMap((type, i) =>
      type === 1 && [...sentencePiece.tokens[i]!].length > 1 ? [i] : [],
    );
    const byScore = (list: ArrayLike<number>) => [...normal].sort((a, b) => list[b]! - list[a]!);
    expect(byScore(scores)).toEqual(byScore(sentencePiece.scores));
  });

  test('ids without a token pad, and are gone when read again', () => {
    const files = byteFiles();
    const back = tokenizerToGguf(files, { vocabSize: 500 });
    expect((back.get('tokenizer.ggml.tokens')!.value as string[]).slice(-1)).toEqual(['[PAD499]']);
    expect((back.get('tokenizer.ggml.token_type')!.value as Int32Array)[499]).toBe(5);
    expect(tokenizerFromGguf(back).tokenizer).toEqual(files.tokenizer);
  });

  test('a chat template and further ends go along', () => {
    const files = { ...byteFiles(), chatTemplate: 'x', endIds: [byteLevel.eos, 9, 4] };
    const back = tokenizerToGguf(files, { vocabSize: 500 });
    expect(back.get('tokenizer.chat_template')).toEqual(text('x'));
    expect(back.get('tokenizer.ggml.eot_token_id')).toEqual(id(9));
    expect(back.get('tokenizer.ggml.eom_token_id')).toEqual(id(4));
    expect(tokenizerFromGguf(back).endIds).toEqual([byteLevel.eos, 9, 4]);
  });

  const edit = (files: ReturnType<typeof byteFiles>, tokenizer: object, model: object = {}) => ({
    ...files,
    tokenizer: { ...files.tokenizer, ...tokenizer, model: { ...(files.tokenizer.model as object), ...model } },
  });
  const merges = () => (pieceFiles().tokenizer.model as { merges: string[] }).merges;
  const vocab = () => (pieceFiles().tokenizer.model as { vocab: Record<string, number> }).vocab;
  test.each<[string, () => ReturnType<typeof byteFiles>, string]>([
    ['too many tokens', byteFiles, "expected ids below the model's vocabulary of 300"],
    [
      'another normalizer',
      () => edit(byteFiles(), { normalizer: { type: 'Lowercase' } }),
      'dir/tokenizer.json: normalizer',
    ],
    [
      'another split',
      () => edit(byteFiles(), { pre_tokenizer: { type: 'WhitespaceSplit' } }),
      'pre_tokenizer: expected',
    ],
    ['a suffix', () => edit(byteFiles(), {}, { end_of_word_suffix: '</w>' }), 'model.end_of_word_suffix'],
    ['a merge left out', () => edit(pieceFiles(), {}, { merges: merges().slice(1) }), 'merges: expected every way'],
    [
      'merges apart',
      () => edit(pieceFiles(), {}, { merges: [...merges().slice(1), merges()[0]!, merges()[1]!] }),
      'merges',
    ],
    [
      'a piece without end',
      () => edit(pieceFiles(), {}, { vocab: { ...vocab(), ['a'.repeat(10_000)]: 470 } }),
      'dir/tokenizer.json: expected tokens of at most 256 characters',
    ],
    ['two spaces', () => edit(pieceFiles(), { normalizer: { type: 'NFC' } }), 'normalizer: expected spaces to become'],
    [
      'a token that strips',
      () => edit(byteFiles(), { added_tokens: [{ id: 3, content: '<x>', rstrip: true }] }),
      'added_tokens: <x>: rstrip',
    ],
  ])('refused: %s', (name, files, message) => {
    const vocabSize = name === 'too many tokens' ? 300 : 500;
    expect(() => tokenizerToGguf(files(), { vocabSize }, 'dir')).toThrow(message);
  });
});
