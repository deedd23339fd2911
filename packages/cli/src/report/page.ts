// The report as one HTML file that needs nothing else: no scripts, no fonts, no network.
import { stringify } from 'yaml';
import type { Claim } from './claims.js';
import { claimsHtml } from './claimsText.js';
import type { Collection, Run } from './collect.js';
import type { Figure, Figures } from './figures.js';
import { runsText, setName } from './groups.js';
import { escapeHtml, figureHtml, folded, section, tableHtml } from './html.js';
import { STYLE } from './style.js';
import type { Table } from './tables.js';
import { type SampleThought, thoughtsHtml } from './thoughts.js';

/** Everything that a report says, before it is written in one form or another. */
export interface Report {
  collection: Collection;
  /** The paper's tables and those like them. */
  tables: readonly Table[];
  training: readonly Table[];
  majority: readonly Table[];
  lengths: readonly Table[];
  entropy: readonly Table[];
  /** The paper's, put to our runs. */
  claims: readonly Claim[];
  figures: Figures;
  thoughts: { shown: readonly SampleThought[]; leftOut: number };
}

/** The page's text. */
export function reportPage(report: Report): string {
  const { collection, tables, training, majority, lengths, entropy, claims, figures, thoughts } = report;
  const ours = tables.filter((table) => table.ours);
  const theirs = tables.filter((table) => !table.ours);
  const parts: [id: string, title: string, content: string][] = [
    ['tables', 'Tables', `${TABLE_NOTE}${tablesHtml(ours)}${notRunTables(theirs)}`],
    ['claims', 'Claims', claims.length > 0 ? claimsHtml(claims) : ''],
    ['training', 'Training', `${tablesHtml(training)}${all(figures.training)}`],
    ['passk', 'pass@k', all(figures.passAtK)],
    ['entropy', 'Entropy by position', `${entropySection(figures.entropy)}${tablesHtml(entropy)}`],
    ['ablations', 'Ablations', all(figures.ablations)],
    ['votes', 'Majority votes', tablesHtml(majority)],
    ['lengths', 'Lengths and endings', lengths.map((table) => tableHtml(table, { fold: true })).join('\n')],
    ['thoughts', 'Sample thoughts', thoughts.shown.length > 0 ? thoughtsHtml(thoughts.shown, thoughts.leftOut) : ''],
    ['figures-not-run', 'Figures of the paper not run', notRunFigures(figures)],
    ['runs', 'Runs', runsSection(collection)],
  ];
  const shown = parts.filter(([, , content]) => content !== '');
  const links = shown.map(([id, title]) => `<li><a href="#${id}">${escapeHtml(title)}</a></li>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>soft-tokens: ${escapeHtml(runsText(collection.runs))}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Hard, fuzzy and soft thoughts</h1>
<p>${escapeHtml(runsText(collection.runs))} The paper is Butt et al. 2025, “Soft Tokens, Hard Truths”, arXiv:2509.19170.</p>
<nav aria-label="Sections"><ul>${links.join('')}</ul></nav>
</header>
<main>
${shown.map(([id, title, content]) => section(id, title, content)).join('\n')}
</main>
</body>
</html>
`;
}

const TABLE_NOTE =
  '<p>Ours, with the standard deviation over seeds where there are several; under it, fainter, the number that the paper published. ' +
  '<span class="none">–</span> not run. <b>*</b> our best pass@1 and pass@k of a model, and our best of each choice set. Point at a number for its 95 % interval, or see report.csv.</p>';

const tablesHtml = (tables: readonly Table[]) => tables.map((table) => tableHtml(table)).join('\n');
const all = (figures: readonly Figure[]) => figures.map(figureHtml).join('\n');

function notRunTables(tables: readonly Table[]): string {
  if (tables.length === 0) return '';
  return `<h3>Tables of the paper that no run of ours fills</h3>${tablesHtml(tables)}`;
}

/** Of each model the set that it was trained for, the others when asked for. */
function entropySection(figures: readonly Figure[]): string {
  const others = figures.filter(({ folded: hidden }) => hidden);
  const more = others.map((figure) => folded(figure.title, figureHtml(figure)));
  return `${all(figures.filter((figure) => !others.includes(figure)))}${more.join('\n')}`;
}

function notRunFigures({ notRun }: Figures): string {
  const items = notRun.map(({ number, title }) => `<li>Figure ${number}: ${escapeHtml(title)}</li>`);
  return items.length === 0
    ? ''
    : folded(`${notRun.length} figures that no run of ours draws`, `<ul>${items.join('')}</ul>`);
}

function runsSection({ runs, leftOut }: Collection): string {
  const rows = runs.map((run) => {
    const { name, model, trainedOn, config, seed, results } = run;
    const cells = [
      model,
      setName(trainedOn),
      config.modes.join(', '),
      String(seed),
      results ? 'finished' : 'not finished',
    ];
    return `<tr><th scope="row">${escapeHtml(name)}</th>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  });
  const table =
    '<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table class="runs"><thead><tr>' +
    `${['run', 'model', 'trained on', 'modes', 'seed', 'state'].map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead>` +
    `<tbody>${rows.join('')}</tbody></table></div>`;
  const missing = leftOut.map(({ name, why }) => `<li>${escapeHtml(`${name}: ${why}`)}</li>`);
  const left = missing.length === 0 ? '' : `<h3>Left out of the tables</h3><ul>${missing.join('')}</ul>`;
  const configs = runs.map((run) => folded(`config.yaml of ${run.name}`, `<pre>${escapeHtml(shortConfig(run))}</pre>`));
  return `${table}${left}${configs.join('\n')}`;
}

/** The configuration without this machine's directories. */
function shortConfig({ config }: Run): string {
  return stringify(config).replaceAll(/: (\/|\.\.?\/|[A-Za-z]:\\).*[/\\]/g, ': .../');
}
