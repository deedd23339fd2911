// A byte-level tokenizer small enough to check by hand: 256 bytes, one merge, two special tokens.
import { byteNames } from '../nativeParts.js';

/** Ids 0..255 are the bytes, 256 is " a", 257 `<s>`, 258 `</s>`. */
export function byteTokenizer(): Record<string, unknown> {
  const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });
  return {
    added_tokens: [special(257, '<s>'), special(258, '</s>')],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries([...byteNames(), 'Ġa'].map((name, id) => [name, id])),
      merges: ['Ġ a'],
    },
  };
}
