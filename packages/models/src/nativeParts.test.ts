import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { expect, test } from 'vitest';
import { asNative, byteNames } from './nativeParts.js';
import { byteTokenizer } from './test/byteTokenizer.js';
import { hardTexts, nativeSplits } from './test/tokenizerFixtures.js';
import { createTokenizer } from './tokenizer.js';

test.each(nativeSplits().map((each) => [JSON.stringify(each.pre_tokenizer).slice(0, 60), each] as const))(
  'pieces are the native ones: %s',
  (_, { pre_tokenizer, lengths }) => {
    const made = new HuggingFaceTokenizer(asNative({ ...byteTokenizer(), pre_tokenizer }), {});
    const split = (made as unknown as { pre_tokenizer(text: string): string[] }).pre_tokenizer;
    hardTexts.forEach((text, i) => {
      expect(
        split(text).map((piece) => [...piece].length),
        JSON.stringify(text),
      ).toEqual(lengths[i]);
    });
  },
);

test('a byte without a token is gone before its neighbours are joined', () => {
  const { vocab } = byteTokenizer().model as { vocab: Record<string, number> };
  const { [byteNames()[4]!]: id, ...rest } = vocab;
  expect(id).toBe(4);
  const model = { type: 'BPE', vocab: { ...rest, '!?': 4 }, merges: ['! ?'] };
  const tokenizer = createTokenizer({ tokenizer: { ...byteTokenizer(), model } });
  expect(tokenizer.encode('!\u0004?')).toEqual([4]); // "!?" whole, as natively
  expect(tokenizer.encode('\u0004')).toEqual([]);
});
