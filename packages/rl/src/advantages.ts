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
  const G = rewards.length;
  if (G < 2) throw new RangeError(`leaveOneOut: expected at least 2 samples a prompt, got ${G}; raise samples`);
  const bad = rewards.find((reward) => !Number.isFinite(reward));
  if (bad !== undefined) throw new RangeError(`leaveOneOut: expected finite rewards, got ${bad}`);
  const total = rewards.reduce((sum, reward) => sum + reward, 0);
  return rewards.map((reward) => reward - (total - reward) / (G - 1));
}
