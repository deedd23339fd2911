// The report of a run as one HTML file that needs nothing else: no scripts, no fonts, no network.
import { join } from 'node:path';
import { writeFileAtomic } from '@soft-tokens/tensor';
import pico from 'picocolors';
import { stringify } from 'yaml';
import type { TrainConfig } from '../config/recipe.js';
import { layout } from '../jobs/layout.js';
import type { MetricsRecord } from '../jobs/trainTask.js';
import { readLines } from '../jsonLines.js';
import { noiseText, paperTables, trainingTable } from '../paperTable.js';
import { modesOf, type RunResults } from '../results.js';
import {
  colorVariables,
  drawCurves,
  type Figure,
  legend,
  passAtKFigures,
  type TrainingLog,
  trainingFigures,
} from './curves.js';

/** Writes `report.html` into a run folder. */
export async function writeReport(directory: string, config: TrainConfig, results: RunResults): Promise<void> {
  const logs: TrainingLog[] = await Promise.all(
    modesOf(config).map(async (mode) => ({
      mode,
      records: await readLines<MetricsRecord>(layout.metrics(directory, mode)),
    })),
  );
  await writeFileAtomic(join(directory, 'report.html'), await reportPage(config, results, logs));
}

/** The page's text. */
export async function reportPage(
  config: TrainConfig,
  results: RunResults,
  logs: readonly TrainingLog[],
): Promise<string> {
  const plain = pico.createColors(false);
  const training = trainingFigures(logs, config);
  const passAtK = passAtKFigures(results);
  const sections = [
    results.models.length > 0 ? section('Results', `<pre>${escapeHtml(paperTables(results, plain))}</pre>`) : '',
    section(
      'Training',
      `<pre>${escapeHtml(trainingTable(results))}</pre>${legend(logs.map(({ mode }) => mode))}${figures(training)}`,
    ),
    passAtK.length > 0
      ? section(
          'pass@k',
          `<p>The chance that at least one of k samples is correct, estimated without bias from ${results.evaluation?.samples} samples of ` +
            `each held-out question.</p>` +
            `${legend(results.models.map(({ subject }) => subject))}${figures(passAtK, 'three')}`,
        )
      : '',
    section(
      'Configuration',
      `<details><summary>config.yaml</summary><pre>${escapeHtml(shortConfig(config))}</pre></details>`,
    ),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>soft-tokens: ${escapeHtml(results.training.map(({ mode }) => mode).join(', '))}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Thinking in ${escapeHtml(listOf(results.training.map(({ mode }) => mode)))} tokens</h1>
<p>${escapeHtml(summary(config))}</p>
</header>
${sections.filter((text) => text !== '').join('\n')}
</body>
</html>
`;
}

function summary(config: TrainConfig): string {
  const { steps, questionsPerStep: B, samples: G, noise, seed } = config;
  return (
    `${steps} steps of ${B} questions × ${G} samples in each mode; noise ${noiseText(noise)}; seed ${seed}; ` +
    `${config.data.kind} data.`
  );
}

/** The configuration without this machine's directories. */
function shortConfig(config: TrainConfig): string {
  const text = stringify(config);
  return text.replaceAll(/: (\/|[A-Za-z]:\\).*[/\\]/g, ': .../');
}

const section = (title: string, content: string) => `<section>\n<h2>${title}</h2>\n${content}\n</section>`;

function figures(list: readonly Figure[], columns: 'two' | 'three' = 'two'): string {
  const items = list.map(
    (figure) =>
      `<figure><figcaption>${escapeHtml(figure.title)}</figcaption>${drawCurves(figure, columns === 'two' ? 460 : 330)}</figure>`,
  );
  return `<div class="figures ${columns}">${items.join('\n')}</div>`;
}

function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** Text as HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const STYLE = `
:root { color-scheme: light dark; --text: #1d2129; --faint: #5f6773; --line: #d9dde3; --page: #ffffff; --panel: #f6f7f9; ${colorVariables('light')} }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7ec; --faint: #9aa3b0; --line: #343a44; --page: #14171c; --panel: #1c2027; ${colorVariables('dark')} }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; letter-spacing: -.01em; text-wrap: balance; }
h2 { margin: 2.75rem 0 .75rem; font-size: 1.15rem; }
p { margin: .25rem 0 1rem; color: var(--faint); max-width: 46rem; }
pre { margin: 0 0 1.25rem; padding: .9rem 1.1rem; overflow-x: auto; background: var(--panel); border-radius: 8px;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.figures.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .92rem; margin-bottom: .35rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; color: var(--faint); }
ul.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; margin: 0 0 1rem; padding: 0; list-style: none; font-size: .9rem; }
ul.legend i { display: inline-block; width: 1.4rem; height: 0; margin-right: .45rem; border-top: 3px solid; vertical-align: middle; }
summary { cursor: pointer; margin-bottom: .75rem; }
`;
