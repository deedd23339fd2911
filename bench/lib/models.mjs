// The models that are timed, what a step draws with each, and how much is timed: PyTorch needs long for the larger one.

export const settings = [
  {
    name: '0.9 M',
    sizes: 'hidden=128,layers=4,heads=4,kv=2,intermediate=352,vocab=1024',
    work: { prompts: 2, samples: 32, promptTokens: 64, thoughtTokens: 128, answerTokens: 32 },
    steps: { ours: 4, theirs: 4 },
    rounds: 3,
  },
  {
    name: '135 M',
    sizes: 'hidden=576,layers=30,heads=9,kv=3,intermediate=1536,vocab=49152',
    work: { prompts: 2, samples: 8, promptTokens: 64, thoughtTokens: 32, answerTokens: 16 },
    steps: { ours: 3, theirs: 1 },
    rounds: 2,
  },
];

const keys = {
  hidden: 'hidden_size',
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  kv: 'num_key_value_heads',
  intermediate: 'intermediate_size',
  vocab: 'vocab_size',
};

/** config.json of sizes as `soft-tokens bench --random` takes them. */
export function configOf(sizes) {
  const entries = sizes.split(',').map((size) => size.split('='));
  return {
    model_type: 'llama',
    ...Object.fromEntries(entries.map(([word, value]) => [keys[word], Number(value)])),
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
  };
}
