import { fileURLToPath } from 'node:url';

/**
 * The directory of the tiny model that comes with this package, for first runs and tests: it reads stories about sums.
 * Its tokenizer is made by `reference/tiny_tokenizer.py`: every byte, every digit alone, common words whole.
 *
 * @example const tokenizer = await loadTokenizer(tinyModelDirectory);
 */
export const tinyModelDirectory: string = fileURLToPath(new URL('../tiny', import.meta.url));
