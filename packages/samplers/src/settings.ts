import type { Action, Sampler } from './contract.js';
import { fuzzy } from './fuzzy.js';
import type { Placement } from './gaussian.js';
import { hard } from './hard.js';
import { soft } from './soft.js';

/** A way of thinking, as training modes and tables name it. */
export type Mode = 'hard' | 'soft' | 'fuzzy';

/** The paper's six inference settings: how the thought is drawn. The answer is always greedy when evaluating. */
export type SettingName = `${Mode}-${'greedy' | 'sample'}`;

/** In the order of the paper's table 3. */
export const settingNames: readonly SettingName[] = [
  'hard-greedy',
  'hard-sample',
  'fuzzy-greedy',
  'fuzzy-sample',
  'soft-greedy',
  'soft-sample',
];

/** τ of each mode's thoughts in the paper. Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4. */
export const paperTemperatures: Readonly<Record<Mode, number>> = { hard: 1, soft: 0.5, fuzzy: 0.0001 };

/**
 * The sampler of one of the six settings:
 *
 * | setting | tokens | τ | noise |
 * | --- | --- | --- | --- |
 * | hard-greedy | ids | 0 | none |
 * | hard-sample | ids | 1 | none |
 * | soft-greedy | mixtures | 0.5 | none |
 * | soft-sample | mixtures | 0.5 | σ |
 * | fuzzy-greedy | mixtures | 0.0001 | none |
 * | fuzzy-sample | mixtures | 0.0001 | σ |
 *
 * - `noiseScale`: σ, usually 0.33 times the root-mean-square entry of what the stack is fed: `noiseScale(model)`
 * - `temperature`: another τ than the setting's own, for ablations; `hard-greedy` has none
 * - `placement`: where the noise enters, for ablations; σ is then in the unit of that place
 *
 * Training in a mode draws with its `-sample` setting.
 *
 * @throws RangeError for an unknown name.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4.
 * @example const sampler = samplerFor('soft-sample', 0.05);
 */
export function samplerFor(
  name: SettingName,
  noiseScale: number,
  temperature?: number,
  placement?: Placement,
): Sampler<Action> {
  const at = (mode: Mode) => temperature ?? paperTemperatures[mode];
  const samplers: Record<SettingName, () => Sampler<Action>> = {
    'hard-greedy': () => hard({ temperature: 0 }),
    'hard-sample': () => hard({ temperature: at('hard') }),
    'soft-greedy': () => soft({ temperature: at('soft'), noiseScale: 0, placement }),
    'soft-sample': () => soft({ temperature: at('soft'), noiseScale, placement }),
    'fuzzy-greedy': () => fuzzy({ temperature: at('fuzzy'), noiseScale: 0, placement }),
    'fuzzy-sample': () => fuzzy({ temperature: at('fuzzy'), noiseScale, placement }),
  };
  if (!Object.hasOwn(samplers, name)) {
    throw new RangeError(`samplerFor: expected one of ${settingNames.join(', ')}, got ${name}`);
  }
  return samplers[name]();
}

/** Whether two runs of a setting can differ: greedy ones cannot. */
export function isDeterministic(name: SettingName): boolean {
  return name.endsWith('-greedy');
}
