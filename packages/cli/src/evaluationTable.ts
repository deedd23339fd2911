// What evaluations came to, as text for a terminal.
import { binomialStandardError } from '@soft-tokens/metrics';
import type { NoiseConfig } from './config/recipe.js';
import type { SetResult } from './results.js';
import { formatTable, percent, wrap } from './table.js';

/** A table for each test set. */
export function resultTables(results: readonly SetResult[], noise: NoiseConfig): string {
  const title = (set: string) => (results.length > 1 ? `${set}\n` : '');
  return results.map((result) => `${title(result.set)}${resultTable(result, noise)}`).join('\n\n');
}

/** A row a setting: pass@k in per cent, then how the thoughts went. */
function resultTable({ questions: n, settings: results }: SetResult, noise: NoiseConfig): string {
  // Greedy settings have pass@1 and no more, whatever k is asked for.
  const drawn = [...new Set(results.flatMap(({ passAtK }) => passAtK.map(({ k }) => k)))].sort((a, b) => a - b);
  const shown =
    drawn.length > 6 ? drawn.filter((_, i) => i % Math.ceil(drawn.length / 6) === 0 || i === drawn.length - 1) : drawn;
  const rows = results.map((result) => {
    const at = (each: number) => result.passAtK.find((point) => point.k === each);
    return [
      result.setting,
      ...shown.map((each) => {
        const point = at(each);
        return point ? percent(point.value) : '';
      }),
      percent(result.majority.reduce((a, b) => (b.k > a.k ? b : a)).value),
      percent(result.thoughtEnd.phrase),
      result.thoughtTokens.mean.toFixed(1),
    ];
  });
  const table = formatTable(['setting', ...shown.map((each) => `@${each}`), 'maj', 'ended', 'tokens'], rows);
  const more =
    shown.length < drawn.length ? `; of ${drawn.length} k asked for ${shown.length} are shown, --json has all` : '';
  const noisy = results.some(({ setting }) => setting.endsWith('-sample') && !setting.startsWith('hard'));
  const sigma = noisy ? `\nsoft-sample and fuzzy-sample at noise σ = ${noise.factor} rms of the embedding` : '';
  const half = percent(binomialStandardError(Math.round(n / 2), n));
  const most = Math.max(...drawn);
  const voters = most === 1 ? 'one sample' : `${most} samples`;
  const legend =
    `pass@k in %, ${n} questions (standard error <= ${half}); maj: the majority of ${voters} is ` +
    `right, %; ended: thoughts that ended by themselves, %; tokens: mean length of a thought; 95 % intervals: --json${more}`;
  return `${table}\n${wrap(legend)}${sigma}`;
}
