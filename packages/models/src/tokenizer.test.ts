import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { byteTokenizer } from './test/byteTokenizer.js';
import { prompts } from './test/tokenizerFixtures.js';
import { tinyModelDirectory } from './tiny.js';
import { createTokenizer, loadTokenizer } from './tokenizer.js';

const config = { bos_token: '<s>', eos_token: { content: '</s>' }, clean_up_tokenization_spaces: true };
const tokenizer = createTokenizer({ tokenizer: byteTokenizer(), config, endIds: [258, 10] });
const bytes = (text: string) => [...Buffer.from(text)];

describe('encode and decode', () => {
  test('golden: bytes, a merge, and special tokens written out', () => {
    expect(tokenizer.encode('b a')).toEqual([98, 256]);
    expect(tokenizer.encode('é</s>')).toEqual([0xc3, 0xa9, 258]);
    expect(tokenizer.encode('')).toEqual([]);
    expect(tokenizer.maxId).toBe(258);
  });

  test('spaces before punctuation stay, whatever the file asks for', () => {
    expect(tokenizer.decode(bytes("x != y . do n't"))).toBe("x != y . do n't");
  });

  test('no ids, half a character, ids without a token', () => {
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([0xc3])).toBe('\uFFFD');
    expect(tokenizer.decode([97, 300, 98])).toBe('a\uFFFDb');
    expect(tokenizer.decode([300])).toBe('\uFFFD');
  });

  test('special tokens are written out unless skipped', () => {
    expect(tokenizer.decode([257, 97, 258])).toBe('<s>a</s>');
    expect(tokenizer.decode([257, 97, 258], { skipSpecialTokens: true })).toBe('a');
    expect(tokenizer.decode([258], { skipSpecialTokens: true })).toBe('');
  });
});

describe('special ids', () => {
  test('end ids come from all files, once each; an empty configuration has none', () => {
    expect(tokenizer.endIds).toEqual([258, 10]);
    expect(tokenizer.bosId).toBe(257);
    const bare = createTokenizer({ tokenizer: byteTokenizer() });
    expect([bare.endIds, bare.bosId]).toEqual([[], undefined]);
  });

  const template = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [257], tokens: ['<s>'] } },
  };
  test.each([
    ['nothing says so', null, undefined, [98]],
    ['tokenizer.json adds it', template, undefined, [257, 98]],
    ['tokenizer_config.json adds it', null, true, [257, 98]],
    ['tokenizer.json adds it, whatever tokenizer_config.json says', template, false, [257, 98]],
  ])('begin of sequence where %s', (_, post_processor, add_bos_token, want) => {
    const made = createTokenizer({
      tokenizer: { ...byteTokenizer(), post_processor },
      config: { ...config, add_bos_token },
    });
    expect(made.promptIds('b')).toEqual(want);
    expect(made.encode('b')).toEqual([98]);
    expect(made.promptIds('<s>b')).toEqual([257, 98]); // as a chat template writes it: not twice
  });
});

test.each(prompts().begins)('begin of sequence as in transformers: $name', ({ post_processor, config, bos, ids }) => {
  const base = JSON.parse(readFileSync(join(tinyModelDirectory, 'tokenizer.json'), 'utf8'));
  const added_tokens = [...base.added_tokens, { id: bos, content: '<s>', special: true, normalized: false }];
  const made = createTokenizer({ tokenizer: { ...base, added_tokens, post_processor }, config });
  expect(made.promptIds('b a')).toEqual(ids);
  expect(made.promptIds('<s>b a').filter((id) => id === bos)).toEqual([bos]); // as a chat template writes it: never two
});

describe('the chat template', () => {
  const messages = [{ role: 'user', content: 'hi' }];
  const make = (chat_template: unknown, chatTemplate?: string) =>
    createTokenizer({ tokenizer: byteTokenizer(), config: { ...config, chat_template }, chatTemplate }, 'dir');

  test('knows the special tokens; the default of several; the file of its own wins', () => {
    const [a, b] = ['{{ bos_token }}{{ messages[0].content }}{{ eos_token }}', 'other'];
    expect(make(a).renderChat(messages)).toBe('<s>hi</s>');
    expect(
      make([
        { name: 'tool_use', template: b },
        { name: 'default', template: a },
      ]).renderChat(messages),
    ).toBe('<s>hi</s>');
    expect(make([{ name: 'only', template: b }]).renderChat(messages)).toBe('other');
    expect(make(b, a).renderChat(messages)).toBe('<s>hi</s>');
  });

  test('refused: none, several without a default', () => {
    expect(() => make(undefined).renderChat(messages)).toThrow('dir/tokenizer_config.json: chat_template');
    const two = ['a', 'b'].map((name) => ({ name, template: 'x' }));
    expect(() => make(two).renderChat(messages)).toThrow('got only a, b');
  });
});

test('refused: what is no tokenizer, special tokens without an id', () => {
  const make = (files: Parameters<typeof createTokenizer>[0]) => () => createTokenizer(files, 'dir');
  expect(make({ tokenizer: {} })).toThrow('dir/tokenizer.json: expected a Hugging Face tokenizer');
  expect(make({ tokenizer: { ...byteTokenizer(), model: { type: 'Quantum' } } })).toThrow('dir/tokenizer.json');
  const tokenizer = byteTokenizer();
  expect(make({ tokenizer, config: { eos_token: '<eos>' } })).toThrow('eos_token: expected a token of tokenizer.json');
  expect(make({ tokenizer, config: { eos_token: 3 } })).toThrow('dir/tokenizer_config.json: eos_token');
  expect(make({ tokenizer, config: { add_bos_token: true } })).toThrow('add_bos_token: expected a bos_token');
});

test('loadTokenizer reads the files of a directory, and names the one that is wrong', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  const write = (name: string, value: unknown) =>
    writeFile(join(directory, name), typeof value === 'string' ? value : JSON.stringify(value));
  try {
    await expect(loadTokenizer(directory)).rejects.toThrow('tokenizer.json: expected a file, got none');
    await write('tokenizer.json', byteTokenizer());
    expect((await loadTokenizer(directory)).endIds).toEqual([]);
    await write('tokenizer_config.json', config);
    await write('config.json', { eos_token_id: 257 });
    await write('generation_config.json', { eos_token_id: [257, 258] });
    await write('chat_template.jinja', 'chat');
    const loaded = await loadTokenizer(directory);
    expect(loaded.endIds).toEqual([258, 257]);
    expect(loaded.renderChat([{ role: 'user', content: '' }])).toBe('chat');
    await write('generation_config.json', { eos_token_id: [98] });
    await expect(loadTokenizer(directory)).rejects.toThrow(
      'got 98, which is "b"; is it the tokenizer of another model',
    );
    await write('generation_config.json', { eos_token_id: new Array(300_000).fill(98) });
    await expect(loadTokenizer(directory)).rejects.toThrow('got 98'); // not that the stack has no room for them
    await write('generation_config.json', { eos_token_id: 'end' });
    await expect(loadTokenizer(directory)).rejects.toThrow('generation_config.json: eos_token_id');
    await write('generation_config.json', '{');
    await expect(loadTokenizer(directory)).rejects.toThrow('generation_config.json: expected JSON');
    await write('generation_config.json', '[]');
    await expect(loadTokenizer(directory)).rejects.toThrow('expected a JSON object, got a list');
  } finally {
    await rm(directory, { recursive: true });
  }
});
