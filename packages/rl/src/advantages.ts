/**
 * Leave-one-out advantages of one group of samples (RLOO):
 *
 *   A_g = r_g - (1/(G-1)) Σ_{j≠g} r_j = G/(G-1) (r_g - mean r)
 *
 * The baseline of a sample does not depend on it, so the gradient stays unbiased. Advantages of a group sum to 0.
 *
 * - `rewards`: the G rewards of one prompt's samples; returns G advantages, in the rewards' unit
 *
 * @throws RangeError for fewer than two rewards, or one that is not finite.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 12 and 13; Ahmadian et al. 2024, arXiv:2402.14740.
 * @example leaveOneOut([10, 0, 0]); // [10, -5, -5]
 */
export function leaveOneOut(rewards: readonly number[]): number[] {
  const G = checkedSize('leaveOneOut', rewards);
  const total = sum(rewards);
  return rewards.map((reward) => reward - (total - reward) / (G - 1));
}

/**
 * Advantages about the mean of one group of samples, as Dr. GRPO has them:
 *
 *   A_g = r_g - mean r = (G-1)/G (the leave-one-out advantage)
 *
 * The mean holds the sample's own reward, so the gradient is (G-1)/G of the unbiased one.
 *
 * - `rewards`: the G rewards of one prompt's samples; returns G advantages, in the rewards' unit
 *
 * @throws RangeError for fewer than two rewards, or one that is not finite.
 * Reference: Liu et al. 2025, arXiv:2503.20783.
 * @example aboutMean([10, 0, 0, 2]); // [7, -3, -3, -1]
 */
export function aboutMean(rewards: readonly number[]): number[] {
  const mean = sum(rewards) / checkedSize('aboutMean', rewards);
  return rewards.map((reward) => reward - mean);
}

/**
 * Advantages in units of the standard deviation of one group of samples, as GRPO has them:
 *
 *   A_g = (r_g - mean r) / (s + ε),   s² = Σ_g (r_g - mean r)² / (G-1)
 *
 * Prompts that are nearly always or nearly never solved weigh more than in the expected reward. Equal rewards give 0.
 *
 * - `rewards`: the G rewards of one prompt's samples; `epsilon` >= 0, in the rewards' unit; returns G advantages
 *
 * @throws RangeError for fewer than two rewards, one that is not finite, or an epsilon below 0.
 * Reference: Shao et al. 2024, arXiv:2402.03300, sec. 4.1.
 * @example standardized([1, 0, 0, 1]); // [0.8659, -0.8659, -0.8659, 0.8659]
 */
export function standardized(rewards: readonly number[], epsilon = 1e-4): number[] {
  if (!(epsilon >= 0)) throw new RangeError(`standardized: expected epsilon >= 0, got ${epsilon}`);
  const G = checkedSize('standardized', rewards);
  if (rewards.every((reward) => reward === rewards[0])) return rewards.map(() => 0);
  const advantages = aboutMean(rewards);
  const deviation = Math.sqrt(sum(advantages.map((advantage) => advantage ** 2)) / (G - 1));
  return advantages.map((advantage) => advantage / (deviation + epsilon));
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** G, of a group that advantages can be made of. */
function checkedSize(where: string, rewards: readonly number[]): number {
  const G = rewards.length;
  if (G < 2) throw new RangeError(`${where}: expected at least 2 samples a prompt, got ${G}; raise samples`);
  const bad = rewards.find((reward) => !Number.isFinite(reward));
  if (bad !== undefined) throw new RangeError(`${where}: expected finite rewards, got ${bad}`);
  return G;
}
