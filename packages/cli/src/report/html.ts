// Tables and figures as HTML.
import { drawPanel } from './draw.js';
import type { Figure, LegendItem } from './figures.js';
import { groupBy, seedsText, setName, type Value } from './groups.js';
import type { PaperValue } from './paperNumbers.js';
import type { Cell, Column, Row, Table } from './tables.js';

/** Text as HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** A part of the page. */
export const section = (id: string, title: string, content: string): string =>
  `<section id="${id}">\n<h2>${escapeHtml(title)}</h2>\n${content}\n</section>`;

/** What is shown when asked for. */
export const folded = (summary: string, content: string): string =>
  `<details><summary>${escapeHtml(summary)}</summary>\n${content}\n</details>`;

/** A number with its spread, as text. */
export function valueText({ mean, sd }: Value | PaperValue, digits: number): string {
  return sd === undefined ? mean.toFixed(digits) : `${mean.toFixed(digits)} ± ${sd.toFixed(digits)}`;
}

type Shown = Omit<Column, 'value'>;

/** Everything that is known of a number, for a tooltip. */
function valueTitle({ n, low, high }: Value, { unit, digits }: Shown): string {
  const interval =
    low === undefined || high === undefined
      ? ''
      : `; 95 % interval over questions ${low.toFixed(digits)} to ${high.toFixed(digits)} ${unit}`;
  return `${seedsText(n)}${interval}`;
}

const trainedText = ({ trainedOn, subject }: Row): string =>
  trainedOn === null ? 'none' : `${setName(trainedOn)}, ${subject}`;

/** What a row was trained on and how, without its model. */
export const rowText = (row: Row): string => [trainedText(row), ...(row.detail === '' ? [] : [row.detail])].join(', ');

/** A title with its number. */
export const titleText = ({ number, title }: { number: string; title: string }): string =>
  number === '' ? title : `${number}. ${title}`;

/** A table; folded where it is asked for, and where it has no number of ours. */
export function tableHtml(table: Table, { fold = !table.ours } = {}): string {
  const title = escapeHtml(titleText(table));
  const notes = table.notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`).join('');
  const tag = table.ours ? '' : ' <span class="tag">not run</span>';
  return fold
    ? `<details class="table" id="${escapeHtml(table.id)}"><summary>${title}${tag}</summary>${grid(table)}${notes}</details>`
    : `<div class="table" id="${escapeHtml(table.id)}"><h3>${title}</h3>${grid(table)}${notes}</div>`;
}

function grid({ columns, rows, title }: Table): string {
  const groups = [...groupBy(columns, ({ group }) => group)];
  const over = groups.map(
    ([name, own]) => `<th colspan="${own.length}" scope="colgroup"><span>${escapeHtml(name)}</span></th>`,
  );
  const heads = columns.map(({ label, unit, group }, i) => {
    const first = columns[i - 1]?.group === group ? '' : ' class="first"';
    return `<th scope="col"${first}>${escapeHtml(label)}<small>${escapeHtml(unit)}</small></th>`;
  });
  const bodies = [...groupBy(rows, ({ model }) => model)].map(
    ([model, own]) =>
      `<tbody><tr class="model"><th colspan="${columns.length + 1}" scope="rowgroup"><span>${escapeHtml(model)}</span></th></tr>` +
      `${own.map((row) => rowHtml(row, columns)).join('\n')}</tbody>`,
  );
  return (
    `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(title)}"><table>` +
    `<thead><tr><th rowspan="2" scope="col" class="row">trained on, as</th>${over.join('')}</tr><tr>${heads.join('')}</tr></thead>` +
    `${bodies.join('')}</table></div>`
  );
}

function rowHtml(row: Row, columns: readonly Shown[]): string {
  const seeds = row.seeds.length;
  const mark = row.protocol === '' ? '' : `<sup>${row.protocol}</sup>`;
  const parts = [row.detail, seeds === 0 ? '' : seedsText(seeds)].filter((part) => part !== '');
  const more = parts.length > 0 ? `<small>${escapeHtml(parts.join('; '))}</small>` : '';
  const cells = columns.map((column, i) =>
    cellHtml(row.cells[column.id], column, columns[i - 1]?.group !== column.group, row.seeds),
  );
  return `<tr><th scope="row" class="row">${escapeHtml(trainedText(row))}${mark}${more}</th>${cells.join('')}</tr>`;
}

function cellHtml(cell: Cell | undefined, column: Shown, first: boolean, seeds: readonly number[]): string {
  const { ours, paper, best } = cell ?? {};
  const mean = ours?.mean.toFixed(column.digits);
  const spread = ours?.sd === undefined ? '' : `<small> ±${ours.sd.toFixed(column.digits)}</small>`;
  // A number of fewer seeds than its row says so.
  const fewer = ours && ours.n !== seeds.length ? `<small> n=${ours.n}</small>` : '';
  const own = ours
    ? `<span title="${escapeHtml(valueTitle(ours, column))}">${best ? `<b>${mean}*</b>` : mean}${spread}${fewer}</span>`
    : '<span class="none" title="not run">–</span>';
  const theirs = paper ? `<small class="paper" title="the paper's">${valueText(paper, column.digits)}</small>` : '';
  return `<td${first ? ' class="first"' : ''}>${own}${theirs}</td>`;
}

/** A figure with its legend and caption. */
export function figureHtml(figure: Figure): string {
  const width = figure.columns === 2 ? 470 : 330;
  const panels = figure.panels.map(
    (panel) => `<div class="panel"><h4>${escapeHtml(panel.title)}</h4>${drawPanel(panel, width)}</div>`,
  );
  return (
    `<figure id="${escapeHtml(figure.id)}"><h3>${escapeHtml(titleText(figure))}</h3>${legendHtml(figure.legend)}` +
    `<div class="panels of${figure.columns}">${panels.join('\n')}</div>` +
    `<figcaption>${escapeHtml(figure.caption)}</figcaption></figure>`
  );
}

/** Which colour is which. */
function legendHtml(items: readonly LegendItem[]): string {
  const item = ({ name, color, dashed }: LegendItem) =>
    `<li><i style="border-color: var(--${color}); border-top-style: ${dashed ? 'dashed' : 'solid'}"></i>${escapeHtml(name)}</li>`;
  return `<ul class="legend">${items.map(item).join('')}</ul>`;
}
