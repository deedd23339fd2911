// How our parameters stand in GGUF files: names, the order of rotary rows, the offset of norms. Facts: the GGUF
// specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and llama.cpp's converter.
import type { GgufValue } from '@soft-tokens/tensor';
import type { DecoderConfig, RawConfig } from './config.js';
import type { ModelKeys } from './ggufModelKeys.js';

/** How a family stands in GGUF files, as llama.cpp reads them. Letters: H heads, D head dimension. */
export interface GgufLayout<C extends DecoderConfig = DecoderConfig> {
  /** `general.architecture`. */
  readonly architecture: string;
  /** The class of transformers, which config.json names under `architectures`. */
  readonly className: string;
  /** Parts of a layer that are named otherwise than in `LAYER_PARTS`: our name to GGUF's. */
  readonly parts?: Readonly<Record<string, string>>;
  /**
   * Whether the rows of a head's queries and keys that are turned together stand side by side there, 2i and 2i + 1; in
   * our files they are half a head apart, i and i + D/2.
   */
  readonly rotaryPairs?: boolean;
  /** Keys of config.json from those that only this family has; `has` tells whether the file has a tensor. */
  readConfig?(keys: ModelKeys, common: RawConfig, has: (tensor: string) => boolean): RawConfig;
  /** The same keys, to write, from a configuration. Throws naming the key for what llama.cpp would compute otherwise. */
  writeKeys?(config: C): Readonly<Record<string, GgufValue>>;
}

const OUTER = new Map([
  ['model.embed_tokens', 'token_embd'],
  ['model.norm', 'output_norm'],
  ['lm_head', 'output'],
]);

const LAYER_PARTS: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/**
 * The name of a parameter in a GGUF file.
 *
 * @throws Error for a parameter that the format has no name for.
 * @example ggufName(llama.gguf, 'model.layers.3.mlp.up_proj.weight'); // 'blk.3.ffn_up.weight'
 */
export function ggufName({ parts = {} }: Pick<GgufLayout, 'parts'>, name: string): string {
  const [, module, kind] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const [, layer, part] = /^model\.layers\.(\d+)\.(.*)$/.exec(module ?? '') ?? [];
  const found = part === undefined ? OUTER.get(module ?? '') : (parts[part] ?? LAYER_PARTS[part]);
  if (found === undefined) throw new Error(`ggufName: expected a parameter GGUF has a name for, got ${name}`);
  return part === undefined ? `${found}.${kind}` : `blk.${layer}.${found}.${kind}`;
}

/**
 * A parameter's values as the other side lays them out: new ones, or the same where both agree. A norm of GGUF multiplies
 * by its weights alone, without the offset of the family's own files.
 */
export function relaidOut(
  layout: GgufLayout,
  { headDim, normOffset = 0 }: DecoderConfig,
  { name, shape, values }: { name: string; shape: readonly number[]; values: Float32Array },
  to: 'gguf' | 'ours',
): Float32Array {
  if (layout.rotaryPairs && /\.self_attn\.[qk]_proj\.(weight|bias)$/.test(name)) {
    return reorderRotaryRows(values, { rows: shape[0]!, headDim, to: to === 'gguf' ? 'pairs' : 'halves' });
  }
  if (normOffset === 0 || !name.endsWith('norm.weight')) return values;
  return values.map((x) => (to === 'gguf' ? x + normOffset : x - normOffset));
}

/**
 * The rows of a rotary projection from pairs to halves, or back: row 2i + s of a head in pairs is its row i + s D/2 in
 * halves. Matrices `[H D, in]` and biases `[H D]` alike.
 */
export function reorderRotaryRows(
  values: Float32Array,
  { rows, headDim, to }: { rows: number; headDim: number; to: 'pairs' | 'halves' },
): Float32Array {
  const width = values.length / rows;
  const half = headDim / 2;
  const reordered = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const head = row - inHead;
    const paired = head + 2 * (inHead % half) + Math.floor(inHead / half); // where a row of halves is in pairs
    const [target, source] = to === 'halves' ? [row, paired] : [paired, row];
    reordered.set(values.subarray(source * width, (source + 1) * width), target * width);
  }
  return reordered;
}

/** What llama.cpp computes otherwise in some families. Throws naming the key. */
export function requireUnbiased({ attentionBias }: { attentionBias: boolean }): Readonly<Record<string, GgufValue>> {
  if (!attentionBias) return {};
  throw new Error(
    'saveGguf: attention_bias: expected false, as llama.cpp computes this family, got true; export it as hf',
  );
}
