// config.json files of models on the hub, as they lie there and as transformers 5 writes them, against what transformers
// computes with (reference/config_fixtures.py).
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { architectureOf } from './architectures.js';
import type { DecoderConfig, LayerAttention, RawConfig } from './config.js';

interface HubConfig {
  hub: RawConfig;
  five: RawConfig;
  means: {
    headDim: number;
    numKeyValueHeads: number;
    tied: boolean;
    kinds: Record<string, { theta: number; scaling: RawConfig | null; window: number | null }>;
    layers: string;
  };
}

const configs = Object.entries(
  JSON.parse(readFileSync(new URL('./test/__fixtures__/hubConfigs.json', import.meta.url), 'utf8')) as Record<
    string,
    HubConfig
  >,
);

const parse = (raw: RawConfig) => architectureOf(raw).parseConfig(raw, 'config.json');

/** A layer's attention in the words of transformers. */
const described = ({ ropeTheta, ropeScaling: scaling, slidingWindow }: LayerAttention) => ({
  theta: ropeTheta,
  scaling:
    scaling?.type === 'llama3'
      ? {
          rope_type: 'llama3',
          factor: scaling.factor,
          low_freq_factor: scaling.lowFreqFactor,
          high_freq_factor: scaling.highFreqFactor,
          original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
        }
      : (scaling ?? null),
  window: slidingWindow ?? null,
});

test.each(configs)('%s: read as transformers reads it', (_, { hub, means }) => {
  const config: DecoderConfig = parse(hub);
  expect(config).toMatchObject({
    headDim: means.headDim,
    numKeyValueHeads: means.numKeyValueHeads,
    tieWordEmbeddings: means.tied,
    hiddenSize: hub.hidden_size,
    numLayers: means.layers.length,
  });
  const layers = config.layerAttention ?? new Array<LayerAttention>(config.numLayers).fill(config);
  expect(layers.map(described)).toEqual([...means.layers].map((kind) => means.kinds[kind]));
});

test.each(configs)('%s: written again by transformers 5, it means the same', (_, { hub, five }) => {
  expect(five.transformers_version).toMatch(/^5\./);
  expect(parse(five)).toEqual(parse(hub));
});

test.each(configs)('%s: any further key that is on is an error that names it', (_, { hub, five }) => {
  for (const raw of [hub, five]) {
    expect(() => parse({ ...raw, num_experts: 8 })).toThrow('config.json: num_experts: expected no key');
  }
});
