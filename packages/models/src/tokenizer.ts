// The tokenizer of a model: text to ids and back.
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { TextCodec } from '@soft-tokens/samplers';
import { readGgufHeader } from '@soft-tokens/tensor';
import { z } from 'zod';
import { type ChatMessage, type ChatOptions, type ChatTemplate, createChatTemplate } from './chatTemplate.js';
import { isGgufName, readJson, readTextIfPresent, show } from './files.js';
import { tokenizerFromGguf } from './ggufTokenizer.js';
import { asNative } from './nativeParts.js';

/** Text to ids and back, with what a model directory says about its prompts. */
export interface Tokenizer extends TextCodec {
  /** Ids of a text without any added special token; special tokens written out in the text become their ids. */
  encode(text: string): number[];
  /** The text of ids, special tokens written out unless skipped. An id without a token gives U+FFFD. */
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** The id that begins a sequence, where the tokenizer has one. */
  readonly bosId: number | undefined;
  /** The largest id that has a token. */
  readonly maxId: number;
  /** `encode`, preceded by the begin-of-sequence id where the tokenizer adds one and the text does not start with it. */
  promptIds(text: string): number[];
  /** The conversation as text, through the tokenizer's chat template. Throws where there is none. */
  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): string;
}

/** What a tokenizer is made of: the contents of a model directory's files. */
export interface TokenizerFiles {
  /** tokenizer.json. */
  tokenizer: unknown;
  /** tokenizer_config.json. */
  config?: unknown;
  /** Ids that end an answer besides `eos_token`: `eos_token_id` of config.json and generation_config.json. */
  endIds?: readonly number[];
  /** chat_template.jinja; wins over the one in tokenizer_config.json. */
  chatTemplate?: string | undefined;
}

const addedToken = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);

const tokenizerConfig = z.object({
  add_bos_token: z.boolean().nullish(),
  bos_token: addedToken.nullish(),
  eos_token: addedToken.nullish(),
  pad_token: addedToken.nullish(),
  unk_token: addedToken.nullish(),
  chat_template: z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish(),
});

const LONE_SURROGATE = /\p{Cs}/gu;

/** An `eos_token_id`: absent, one id or several. */
const endIdsConfig = z.object({
  eos_token_id: z
    .union([z.number().int(), z.array(z.number().int())])
    .nullish()
    .transform((value) => [value ?? []].flat()),
});

/** tokenizer_config.json, checked. */
export function readTokenizerConfig(files: TokenizerFiles, where: string): z.output<typeof tokenizerConfig> {
  const parsed = tokenizerConfig.safeParse(files.config ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new Error(`${join(where, 'tokenizer_config.json')}: ${issue.path.join('.')}: ${issue.message}`);
}

/** The chat template among the files, or `undefined`; several templates without a default are an error. */
export function chatTemplateOf(files: TokenizerFiles, where: string): string | undefined {
  const stored = files.chatTemplate ?? readTokenizerConfig(files, where).chat_template ?? undefined;
  if (stored === undefined || typeof stored === 'string') return stored;
  const chosen = stored.find(({ name }) => name === 'default') ?? (stored.length === 1 ? stored[0] : undefined);
  if (chosen || stored.length === 0) return chosen?.template;
  const got = `only ${stored.map(({ name }) => name).join(', ')}`;
  throw new Error(`${join(where, 'tokenizer_config.json')}: chat_template: expected one named default, got ${got}`);
}

/**
 * A tokenizer from the contents of its files. `where` names the directory in errors.
 *
 * @throws Error for a file that is not what it should be, and for a special token that has no id.
 * @example createTokenizer({ tokenizer: JSON.parse(await readFile('tokenizer.json', 'utf8')) }).encode('1 + 1');
 */
export function createTokenizer(files: TokenizerFiles, where = '.'): Tokenizer {
  const tokenizerFile = join(where, 'tokenizer.json');
  const configFile = join(where, 'tokenizer_config.json');
  const config = readTokenizerConfig(files, where);

  let inner: HuggingFaceTokenizer;
  let maxId = -1;
  try {
    inner = new HuggingFaceTokenizer(
      asNative(files.tokenizer as Record<string, unknown>),
      (files.config ?? {}) as object,
    );
    for (const id of inner.get_vocab(true).values()) maxId = Math.max(maxId, id);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${tokenizerFile}: expected a Hugging Face tokenizer, got one that does not load: ${reason}`);
  }
  if (maxId < 0) throw new Error(`${tokenizerFile}: expected a vocabulary, got an empty one`);

  const idOf = (key: 'bos_token' | 'eos_token'): number | undefined => {
    const token = config[key];
    if (token === null || token === undefined) return undefined;
    const id = inner.token_to_id(token);
    if (id === undefined) {
      throw new Error(`${configFile}: ${key}: expected a token of tokenizer.json, got ${show(token)}`);
    }
    return id;
  };
  const bosId = idOf('bos_token');
  const eosId = idOf('eos_token');
  const endIds = [...new Set([...(eosId === undefined ? [] : [eosId]), ...(files.endIds ?? [])])];

  function encode(text: string): number[] {
    if (text === '') return [];
    text = text.replace(LONE_SURROGATE, '\uFFFD'); // as every encoder to UTF-8 writes it
    const ids: (number | undefined)[] = inner.encode(text, { add_special_tokens: false }).ids;
    const missing = ids.indexOf(undefined);
    if (missing >= 0) {
      const token = show(inner.encode(text, { add_special_tokens: false }).tokens[missing]);
      throw new Error(`${tokenizerFile}: expected ids for every text, got none for the token ${token}`);
    }
    return ids as number[];
  }

  function decodeKnown(ids: number[], skipSpecialTokens: boolean): string {
    if (ids.length === 0) return ''; // the library throws for it
    // Cleaning up would turn "x != y" into "x!= y"; some files ask for it, so it is refused here by name.
    return inner.decode(ids, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false });
  }

  function decode(ids: readonly number[], { skipSpecialTokens = false } = {}): string {
    // A vocabulary is often padded for speed, so a model can say ids that no token has.
    const parts: string[] = [];
    let begin = 0;
    for (let i = 0; i < ids.length; i++) {
      if (inner.id_to_token(ids[i]!) !== undefined) continue;
      parts.push(decodeKnown(ids.slice(begin, i), skipSpecialTokens));
      begin = i + 1;
    }
    return [...parts, decodeKnown(ids.slice(begin), skipSpecialTokens)].join('\uFFFD');
  }

  // The post-processor decides, as in transformers 5; `add_bos_token` only where tokenizer.json says nothing of it.
  const templateAddsBos = bosId !== undefined && inner.encode('a', { add_special_tokens: true }).ids[0] === bosId;
  const addsBos = templateAddsBos || config.add_bos_token === true;
  if (addsBos && bosId === undefined) {
    throw new Error(`${configFile}: add_bos_token: expected a bos_token to add, got none; name it or set false`);
  }

  function promptIds(text: string): number[] {
    const ids = encode(text);
    return addsBos && ids[0] !== bosId ? [bosId!, ...ids] : ids;
  }

  let template: ChatTemplate | undefined;
  function renderChat(messages: readonly ChatMessage[], options?: ChatOptions): string {
    template ??= createChatTemplate(chatTemplateSource(), specialTokens(), join(where, 'chat_template'));
    return template(messages, options);
  }

  function chatTemplateSource(): string {
    const source = chatTemplateOf(files, where);
    if (source !== undefined) return source;
    throw new Error(`${configFile}: chat_template: expected a template, got none; use a plain prompt instead`);
  }

  function specialTokens(): Record<string, string> {
    const { bos_token, eos_token, pad_token, unk_token } = config;
    const entries = Object.entries({ bos_token, eos_token, pad_token, unk_token });
    return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  }

  return { encode, decode, promptIds, renderChat, endIds, bosId, maxId };
}

/**
 * The tokenizer of a model: of a directory tokenizer.json, and of what is there tokenizer_config.json,
 * chat_template.jinja, and `eos_token_id` of config.json and generation_config.json; of a GGUF file its metadata.
 *
 * @throws Error naming the file for one that is missing or is not what it should be.
 * @example (await loadTokenizer('Qwen2.5-0.5B')).encode('1 + 1');
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  const files = await readTokenizerFiles(path);
  const tokenizer = createTokenizer(files, path);
  requireSpecialEnds(files, tokenizer, path);
  return tokenizer;
}

/**
 * What `loadTokenizer` makes a tokenizer of: the contents of a directory's files, or the same from a GGUF file.
 *
 * @throws Error naming the file for one that is missing or is no JSON, or the key of a GGUF file.
 * @example createTokenizer(await readTokenizerFiles('model.gguf'));
 */
export async function readTokenizerFiles(path: string): Promise<TokenizerFiles> {
  return isGgufName(path) ? tokenizerFromGguf((await readGgufHeader(path)).metadata, path) : readDirectory(path);
}

async function readDirectory(directory: string): Promise<TokenizerFiles> {
  let endIds: number[] = [];
  for (const name of ['config.json', 'generation_config.json']) {
    const file = join(directory, name);
    const parsed = endIdsConfig.safeParse((await readJson(file, { optional: true })) ?? {});
    if (!parsed.success) throw new Error(`${file}: eos_token_id: expected an id or a list of ids`);
    endIds = endIds.concat(parsed.data.eos_token_id);
  }
  return {
    tokenizer: await readJson(join(directory, 'tokenizer.json')),
    config: await readJson(join(directory, 'tokenizer_config.json'), { optional: true }),
    chatTemplate: await readTextIfPresent(join(directory, 'chat_template.jinja')),
    endIds,
  };
}

/** Throws where config.json ends answers with an ordinary token, such as "#", while the tokenizer names another end. */
function requireSpecialEnds({ tokenizer, config, endIds }: TokenizerFiles, { decode }: Tokenizer, where: string): void {
  const { eos_token: named } = tokenizerConfig.parse(config ?? {});
  if (named === undefined || named === null) return;
  const added = (tokenizer as { added_tokens: { id: number }[] }).added_tokens;
  const special = new Set(added.map(({ id }) => id));
  const ordinary = endIds?.find((id) => !special.has(id) && !['', named, '\uFFFD'].includes(decode([id])));
  if (ordinary === undefined) return;
  throw new Error(
    `${where}: eos_token_id: expected a special token, such as ${show(named)} of tokenizer_config.json, got ` +
      `${ordinary}, which is ${show(decode([ordinary]))}; is it the tokenizer of another model?`,
  );
}
