// A table of a report for the terminal.
import type { Colors } from '../io.js';
import { formatTable, wrap } from '../table.js';
import { rangeText } from './groups.js';
import { rowText, titleText } from './html.js';
import type { Table } from './tables.js';

/** Our rows as text of 80 columns: means only, since the files have the rest. */
export function tableText(table: Table, colors: Colors): string {
  const ours = table.rows.filter(({ seeds }) => seeds.length > 0);
  const columns = table.columns.filter(({ id }) => ours.some(({ cells }) => cells[id]?.ours));
  // As in the paper's tables at the terminal: HG is hard greedy, FS8 fuzzy sampled, pass@8.
  const heading = (id: string) => {
    const [, kind = '', way = '', k = ''] = /(\w+)-(greedy|sample)@(\d+)$/.exec(id) ?? [];
    return kind === '' ? id : `${kind[0]!.toUpperCase()}${way === 'greedy' ? 'G' : `S${k}`}`;
  };
  const rows = ours.map((row) => [
    `${rowText(row)}${row.protocol === '' ? '' : ` (${row.protocol})`}`,
    ...columns.map(({ id, digits }) => {
      const { ours: value, best } = row.cells[id] ?? {};
      if (!value) return '- ';
      return best ? colors.bold(`${value.mean.toFixed(digits)}*`) : `${value.mean.toFixed(digits)} `;
    }),
  ]);
  const models = [...new Set(ours.map(({ model }) => model))].join(', ');
  const counts = ours.map(({ seeds }) => seeds.length);
  const text = formatTable(['trained on, as', ...columns.map(({ id }) => `${heading(id)} `)], rows, 1);
  return `${wrap(`${titleText(table)}: ${models}`)}\n\n${text}\n\n${wrap(
    'Correct, %; columns: Hard, Fuzzy or Soft thoughts, G greedy, S sampled with k of pass@k; * best of a model. ' +
      `Means of ${rangeText(counts)}. ${table.notes[0] ?? ''}`,
  )}`;
}
