// The report's tables and thoughts as Markdown, its numbers as CSV in the long format.
import { claimsMarkdown } from './claimsText.js';
import { runsText, setName } from './groups.js';
import { rowText, titleText, valueText } from './html.js';
import type { Report } from './page.js';
import type { Cell, Column, Table } from './tables.js';

type Shown = Omit<Column, 'value'>;

/** What would be markup, and what would end a cell. */
const plain = (text: string): string => text.replaceAll(/[\\`*_[\]<>|~]/g, '\\$&').replaceAll('\n', ' ');

/** The report as Markdown. */
export function reportMarkdown(report: Report): string {
  const { collection, claims, figures, thoughts } = report;
  const named = tablesOf(report);
  const captions = [...figures.training, ...figures.passAtK, ...figures.entropy, ...figures.ablations].map(
    (figure) => `- ${plain(titleText(figure))}. ${plain(figure.caption)}`,
  );
  const notRun = figures.notRun.map(({ number, title }) => `- Figure ${number}. ${plain(title)}: not run`);
  const leftOut = collection.leftOut.map(({ name, why }) => `- ${plain(`${name}: ${why}`)}`);
  const parts = [
    '# Hard, fuzzy and soft thoughts',
    `${plain(runsText(collection.runs))} In parentheses: the number of the paper, arXiv:2509.19170. – is not run; ` +
      '**bold\\*** is our best of a model; ± is the standard deviation over seeds.',
    ...named.map(tableMarkdown),
    ...(claims.length > 0 ? [claimsMarkdown(claims)] : []),
    '## Figures\n',
    [...captions, ...notRun].join('\n'),
    ...(thoughts.shown.length > 0 ? ['## Sample thoughts', ...thoughts.shown.map(thoughtMarkdown)] : []),
    ...(leftOut.length > 0 ? ['## Left out of the tables', leftOut.join('\n')] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Every table of a report. */
export const tablesOf = ({ tables, training, entropy, majority, lengths }: Report): Table[] => [
  ...tables,
  ...training,
  ...entropy,
  ...majority,
  ...lengths,
];

function tableMarkdown(table: Table): string {
  const heads = ['model', 'trained on, as', ...table.columns.map(headOf)];
  const lines = table.rows.map((row) => [
    row.model,
    `${rowText(row)}${row.protocol === '' ? '' : ` (${row.protocol})`}`,
    ...table.columns.map((column) => cellMarkdown(row.cells[column.id], column)),
  ]);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rules = heads.map((_, i) => (i < 2 ? '---' : '---:'));
  const body = lines.map(([model = '', name = '', ...cells]) => line([plain(model), plain(name), ...cells]));
  const grid = [line(heads.map(plain)), line(rules), ...body].join('\n');
  return [`## ${plain(titleText(table))}`, grid, ...table.notes.map(plain)].join('\n\n');
}

const headOf = ({ group, label, unit }: Shown) => `${group} ${label}, ${unit}`;

function cellMarkdown(cell: Cell | undefined, { digits }: Shown): string {
  const { ours, paper, best } = cell ?? {};
  const text = ours ? valueText(ours, digits) : '–';
  return `${best ? `**${text}\\***` : text}${paper ? ` (${valueText(paper, digits)})` : ''}`;
}

function thoughtMarkdown({ run, subject, set, setting, thought }: Report['thoughts']['shown'][number]): string {
  const whose = subject === 'base' ? 'not trained' : `trained on ${setName(run.trainedOn)}, ${subject}`;
  const { question, gold, answer, correct, steps } = thought;
  // A fence longer than any in the text.
  const fence = '`'.repeat(Math.max(3, ...[...thought.thought.matchAll(/`+/g)].map(([ticks]) => ticks.length + 1)));
  return [
    `### ${plain(`${run.model}, ${whose}, on ${setName(set)}, ${setting}`)}`,
    `${plain(question)}`,
    `${fence}text\n${thought.thought}\n${fence}`,
    `Answer ${plain(answer === '' ? 'none' : answer)}, gold ${plain(gold)}: ${correct ? 'right' : 'wrong'}; ${steps.length} tokens.`,
  ].join('\n\n');
}

const csvHead = [
  'table',
  'title',
  'model',
  'trained_on',
  'trained_as',
  'detail',
  'tested',
  'column',
  'unit',
  'mean',
  'sd',
  'n',
  'low',
  'high',
  'best',
  'paper',
  'paper_sd',
];

/** Every number of every table, a line each; cells that are neither run nor published have none. */
export function reportCsv(report: Report): string {
  const lines = tablesOf(report).flatMap((table) =>
    table.rows.flatMap((row) =>
      table.columns.flatMap((column) => {
        const { ours, paper, best } = row.cells[column.id] ?? {};
        if (!ours && !paper) return [];
        const numbers = [ours?.mean, ours?.sd, ours?.n, ours?.low, ours?.high].map(rounded);
        return [
          [
            table.id,
            titleText(table),
            row.model,
            row.trainedOn ?? '',
            row.subject,
            row.detail,
            row.tested,
            column.id,
            column.unit,
          ].concat(numbers, best ? '1' : '', rounded(paper?.mean), rounded(paper?.sd)),
        ];
      }),
    ),
  );
  return [csvHead, ...lines]
    .map((cells) => cells.map(csvCell).join(','))
    .join('\n')
    .concat('\n');
}

const rounded = (value: number | undefined): string =>
  value === undefined ? '' : String(Number(value.toPrecision(8)));

/** RFC 4180: quoted where a comma, a quote or a line break is in it. */
const csvCell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
