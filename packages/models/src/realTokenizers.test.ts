import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readGgufHeader } from '@soft-tokens/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tokenizerFromGguf } from './ggufTokenizer.js';
import { tokenizerToGguf } from './ggufTokenizerWrite.js';
import { byteTokenizer } from './test/byteTokenizer.js';
import { hardTexts, nativeIds, prompts, realTokenizer } from './test/tokenizerFixtures.js';
import { tinyModelDirectory } from './tiny.js';
import { createTokenizer, type TokenizerFiles } from './tokenizer.js';

const tiny = (): TokenizerFiles => ({
  tokenizer: JSON.parse(readFileSync(join(tinyModelDirectory, 'tokenizer.json'), 'utf8')),
});

describe.each<[string, number, () => TokenizerFiles]>([
  ['llama3', 128256, () => realTokenizer('llama3')],
  ['qwen3', 151669, () => realTokenizer('qwen3')],
  ['tiny', 491, tiny],
])('%s, as the native tokenizers', (name, size, load) => {
  const files = load();
  const tokenizer = createTokenizer(files);
  const { ids, decoded, pieces } = nativeIds()[name]!;

  test('ids of every hard text', () => {
    expect(tokenizer.maxId).toBe(size - 1);
    hardTexts.forEach((text, i) => {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids[i]);
    });
  });

  test('texts of ids, of whole ones and of some cut anywhere', () => {
    ids.forEach((list, i) => {
      expect(tokenizer.decode(list)).toBe(decoded[i] ?? hardTexts[i]);
    });
    expect(pieces.length).toBeGreaterThan(0);
    for (const [piece, text] of pieces) expect(tokenizer.decode(piece)).toBe(text);
  });

  test('through GGUF the ids stay', () => {
    const metadata = tokenizerToGguf(files, { vocabSize: size + 3 });
    const again = createTokenizer(tokenizerFromGguf(metadata));
    expect(again.maxId).toBe(size - 1);
    hardTexts.forEach((text, i) => {
      expect(again.encode(text), JSON.stringify(text)).toEqual(ids[i]);
    });
  });
});

test('a lone surrogate is U+FFFD, wherever it stands', () => {
  const tokenizer = createTokenizer(tiny());
  const text = fc.array(
    fc.oneof(fc.constantFrom('\ud800', '\udfff', 'a', ' ', '1', '🙂'), fc.string({ unit: 'binary' })),
  );
  fc.assert(
    fc.property(text, (parts) => {
      const joined = parts.join('');
      // What Node's own encoder to UTF-8 makes of it.
      expect(tokenizer.encode(joined)).toEqual(tokenizer.encode(Buffer.from(joined, 'utf8').toString('utf8')));
      expect(tokenizer.decode(tokenizer.encode(joined))).toBe(Buffer.from(joined, 'utf8').toString('utf8'));
    }),
  );
});

test('a space before each piece comes before words are split off', () => {
  const pre_tokenizer = { type: 'ByteLevel', add_prefix_space: true, use_regex: true };
  const tokenizer = createTokenizer({ tokenizer: { ...byteTokenizer(), pre_tokenizer } });
  expect(tokenizer.encode('a b')).toEqual([256, 32, 98]); // "Ġa" whole
  expect(tokenizer.encode(' a')).toEqual([256]);
});

const realModel = process.env.SOFT_TOKENS_REAL_MODEL;
const metadata = realModel?.endsWith('.gguf') ? (await readGgufHeader(realModel)).metadata : new Map();
/** Any real model does for other tests; here it must be one whose ids are known. */
const isSmolLm2 =
  metadata.get('tokenizer.ggml.pre')?.value === 'smollm' &&
  metadata.get('tokenizer.ggml.tokens')?.value.length === 49152;
const why = isSmolLm2 ? '' : ' (skipped: SOFT_TOKENS_REAL_MODEL names no GGUF file of SmolLM2)';
test.skipIf(!isSmolLm2)(`SmolLM2 out of its GGUF file, as the native tokenizers${why}`, () => {
  const files = tokenizerFromGguf(metadata, realModel);
  const tokenizer = createTokenizer(files, realModel);
  const { ids, decoded, pieces } = nativeIds().smollm2!;
  hardTexts.forEach((text, i) => {
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids[i]);
    expect(tokenizer.decode(ids[i]!)).toBe(decoded[i] ?? text);
  });
  for (const [piece, text] of pieces) expect(tokenizer.decode(piece)).toBe(text);
  expect([tokenizer.bosId, tokenizer.endIds, tokenizer.promptIds('a')]).toEqual([1, [2], tokenizer.encode('a')]);
  expect(files.chatTemplate).toBe(prompts().templates.smollm2);

  const written = tokenizerToGguf(files, { vocabSize: 49152 });
  for (const [name, value] of written) expect(value, name).toEqual(metadata.get(name));
});
