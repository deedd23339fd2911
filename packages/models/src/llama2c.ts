// Checkpoints of llama2.c, as Hugging Face directories.
//
// The layout: karpathy/llama2.c, export.py, `legacy_export` (version 0), and tokenizer.py, `Tokenizer.export`.
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type GgufValue, writeSafetensors } from '@soft-tokens/tensor';
import { writeDirectory, writeJson } from './files.js';
import { reorderRotaryRows } from './ggufLayout.js';
import { type GgufTokenizerFiles, SPACE, tokenizerFromGguf, tokenType } from './ggufTokenizer.js';

const HEADER_BYTES = 28;

interface Header {
  dim: number;
  hidden: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  vocab: number;
  context: number;
  /** Whether logits use the input embedding; written as the sign of the vocabulary. */
  tied: boolean;
}

/**
 * Writes a Hugging Face directory from a llama2.c checkpoint (version 0, float32) and its tokenizer: a Llama whose rows
 * of q and k are put in the order of half-split rotary embeddings, with the tokenizer as SentencePiece BPE.
 *
 * @throws Error naming the file for a header that does not fit the file's length or is no Llama's, for a tokenizer that
 * is cut or too long, and for a `directory` that is there and not empty. Nothing is left behind then.
 * @example await importLlama2c('stories260K.bin', 'tok512.bin', 'stories260K');
 */
export async function importLlama2c(checkpointFile: string, tokenizerFile: string, directory: string): Promise<void> {
  await requireFree(directory);
  const { header, values } = await readCheckpoint(checkpointFile);
  const tokenizer = readTokenizer(await readFile(tokenizerFile), header.vocab, tokenizerFile);
  await writeDirectory(directory, async (fresh) => {
    await writeJson(join(fresh, 'config.json'), configOf(header));
    await writeJson(join(fresh, 'tokenizer.json'), tokenizer.tokenizer);
    await writeJson(join(fresh, 'tokenizer_config.json'), tokenizer.config);
    const metadata = { format: 'pt' };
    await writeSafetensors(join(fresh, 'model.safetensors'), tensorsOf(header, values), { dtype: 'F32', metadata });
  });
}

async function requireFree(directory: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (names.length === 0) return;
  throw new Error(`importLlama2c: ${directory}: expected a new or empty directory, got one with ${names[0]}`);
}

/** The header, checked against the length of the file before anything of that size is read, and the numbers after it. */
async function readCheckpoint(file: string): Promise<{ header: Header; values: Float32Array }> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const start = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await handle.read(start, 0, HEADER_BYTES, 0);
    if (bytesRead < HEADER_BYTES)
      throw new Error(`${file}: expected a header of ${HEADER_BYTES} bytes, got ${bytesRead}`);
    const header = parseHeader(start, file);
    const expected = HEADER_BYTES + 4 * countOf(header);
    if (size !== expected) {
      throw new Error(`${file}: expected ${expected} bytes, as its header says, got ${size}; is the file cut?`);
    }
    const bytes = new Uint8Array(size - HEADER_BYTES);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead: more } = await handle.read(bytes, at, Math.min(bytes.length - at, 2 ** 30), HEADER_BYTES + at);
      if (more === 0) throw new Error(`${file}: expected ${expected} bytes, got ${HEADER_BYTES + at}; did it change?`);
      at += more;
    }
    return { header, values: new Float32Array(bytes.buffer) };
  } finally {
    await handle.close();
  }
}

function parseHeader(bytes: Buffer, file: string): Header {
  const [dim, hidden, layers, heads, keyValueHeads, vocab, context] = Array.from({ length: 7 }, (_, i) =>
    bytes.readInt32LE(4 * i),
  ) as [number, number, number, number, number, number, number];
  const header = { dim, hidden, layers, heads, keyValueHeads, vocab: Math.abs(vocab), context, tied: vocab > 0 };
  if (bytes.toString('latin1', 0, 4) === '24ka') {
    throw new Error(
      `${file}: expected a llama2.c checkpoint of version 0, got a later one; export it with --version 0`,
    );
  }
  for (const [name, value] of Object.entries(header)) {
    if (value === 0 || (value as number) < 0) throw new Error(`${file}: ${name}: expected a number > 0, got ${value}`);
  }
  if (dim % heads !== 0 || (dim / heads) % 2 !== 0) {
    throw new Error(`${file}: heads: expected heads of an even size in ${dim} dimensions, got ${heads} heads`);
  }
  if (heads % keyValueHeads !== 0) {
    throw new Error(`${file}: keyValueHeads: expected a divisor of ${heads} heads, got ${keyValueHeads}`);
  }
  return header;
}

/** Sizes of the parts of a checkpoint, in their order, each for all layers. */
function partsOf({ dim, hidden, layers, heads, keyValueHeads, vocab, context, tied }: Header): [string, number][] {
  const headSize = dim / heads;
  const kv = keyValueHeads * headSize;
  return [
    ['embed_tokens', vocab * dim],
    ['input_layernorm', layers * dim],
    ['self_attn.q_proj', layers * dim * dim],
    ['self_attn.k_proj', layers * kv * dim],
    ['self_attn.v_proj', layers * kv * dim],
    ['self_attn.o_proj', layers * dim * dim],
    ['post_attention_layernorm', layers * dim],
    ['mlp.gate_proj', layers * hidden * dim],
    ['mlp.down_proj', layers * dim * hidden],
    ['mlp.up_proj', layers * hidden * dim],
    ['norm', dim],
    ['rotary tables', context * headSize], // cosines and sines, computed anew when loaded
    ['lm_head', tied ? 0 : vocab * dim],
  ];
}

// In doubles: sums that they cannot hold are larger than any file.
const countOf = (header: Header) => partsOf(header).reduce((sum, [, count]) => sum + count, 0);

type Stored = Record<string, { shape: number[]; values: Float32Array }>;

function tensorsOf(header: Header, values: Float32Array): Stored {
  const { dim, hidden, layers, heads, keyValueHeads, vocab, tied } = header;
  const parts = new Map<string, Float32Array>();
  let at = 0;
  for (const [name, count] of partsOf(header)) {
    parts.set(name, values.subarray(at, at + count));
    at += count;
  }
  const kv = (dim / heads) * keyValueHeads;
  const tensors: Stored = {
    'model.embed_tokens.weight': { shape: [vocab, dim], values: parts.get('embed_tokens')! },
    'model.norm.weight': { shape: [dim], values: parts.get('norm')! },
  };
  if (!tied) tensors['lm_head.weight'] = { shape: [vocab, dim], values: parts.get('lm_head')! };
  const shapes: Record<string, number[]> = {
    input_layernorm: [dim],
    post_attention_layernorm: [dim],
    'self_attn.q_proj': [dim, dim],
    'self_attn.k_proj': [kv, dim],
    'self_attn.v_proj': [kv, dim],
    'self_attn.o_proj': [dim, dim],
    'mlp.gate_proj': [hidden, dim],
    'mlp.up_proj': [hidden, dim],
    'mlp.down_proj': [dim, hidden],
  };
  for (const [name, shape] of Object.entries(shapes)) {
    const count = shape.reduce((product, size) => product * size, 1);
    for (let layer = 0; layer < layers; layer++) {
      const part = parts.get(name)!.subarray(layer * count, (layer + 1) * count);
      // llama2.c turns the rows 2i and 2i + 1 of a head together, transformers i and i + D/2.
      const rotated = name === 'self_attn.q_proj' || name === 'self_attn.k_proj';
      const halves = { rows: shape[0]!, headDim: dim / heads, to: 'halves' } as const;
      const values = rotated ? reorderRotaryRows(part, halves) : part;
      tensors[`model.layers.${layer}.${name}.weight`] = { shape, values };
    }
  }
  return tensors;
}

function configOf({
  dim,
  hidden,
  layers,
  heads,
  keyValueHeads,
  vocab,
  context,
  tied,
}: Header): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: vocab,
    hidden_size: dim,
    intermediate_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    max_position_embeddings: context,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: tied,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: 'float32',
  };
}

/** llama2.c's tokenizer.bin: the longest length, then of each id a score, a length and bytes; spaces stand as spaces. */
function readTokenizer(file: Buffer, vocab: number, where: string): GgufTokenizerFiles {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const tokens: string[] = [];
  const scores = new Float32Array(Math.min(vocab, file.length));
  const need = (at: number, bytes: number) => {
    if (bytes >= 0 && at + bytes <= file.length) return;
    throw new Error(`${where}: expected ${vocab} tokens, got ${tokens.length} and a cut one; is it another model's?`);
  };
  let at = 4; // after the longest length
  for (let id = 0; id < vocab; id++) {
    need(at, 8);
    scores[id] = file.readFloatLE(at);
    const length = file.readInt32LE(at + 4);
    need(at + 8, length);
    try {
      tokens.push(utf8.decode(file.subarray(at + 8, at + 8 + length)).replaceAll(' ', SPACE));
    } catch {
      throw new Error(`${where}: token ${id}: expected UTF-8, got other bytes`);
    }
    at += 8 + length;
  }
  if (at !== file.length) {
    throw new Error(`${where}: expected ${vocab} tokens, as the checkpoint has, got more; is it another model's?`);
  }
  const names = ['<unk>', '<s>', '</s>']; // whose text the file dresses up for printing
  const types = Int32Array.from(tokens, (token, id) => {
    if (id < names.length) return id === 0 ? tokenType.unknown : tokenType.control;
    return /^<0x[0-9A-F]{2}>$/.test(token) ? tokenType.byte : tokenType.normal;
  });
  const metadata = new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: tokens.map((token, id) => names[id] ?? token) }],
    ['tokenizer.ggml.scores', { type: 'array', of: 'float32', value: scores }],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', value: types }],
  ]);
  return tokenizerFromGguf(metadata, where);
}
