// How training went, a row a mode: rewards at its ends, and greedy validation.
import type { Entry, Group } from './groups.js';
import type { TrainingRecord } from './records.js';
import { type Column, type Table, tableOf } from './tables.js';

const recordOf = ({ run, subject }: Entry): TrainingRecord | undefined =>
  run.results?.training.find(({ mode }) => mode === subject);

function column(
  group: string,
  label: string,
  unit: string,
  of: (record: TrainingRecord) => number | null,
  { digits = 1, scale = 1 } = {},
): Column {
  return {
    id: `${group}/${label}`,
    group,
    label,
    unit,
    digits,
    scale,
    value(entry) {
      const record = recordOf(entry);
      const value = record && of(record);
      return typeof value === 'number' ? { value } : undefined;
    },
  };
}

/** The table of all finished trainings; none where there are none. */
export function trainingTable(groups: readonly Group[]): Table[] {
  const records = groups.flatMap(({ entries }) => entries.flatMap((entry) => recordOf(entry) ?? []));
  const windows = [...new Set(records.map(({ reward }) => reward.window))].sort((a, b) => a - b);
  const table = tableOf({
    id: 'training-table',
    number: '',
    title: 'Rewards and validation',
    columns: [
      column('training', 'length', 'steps', (record) => record.steps, { digits: 0 }),
      column('reward', 'first', '0 to 100', (record) => record.reward.first),
      column('reward', 'last', '0 to 100', (record) => record.reward.last),
      column('greedy validation', 'before', '%', (record) => record.validation.base, { scale: 100 }),
      column('greedy validation', 'best', '%', (record) => record.validation.best, { scale: 100 }),
      column('greedy validation', 'best at', 'step', (record) => record.validation.bestStep, { digits: 0 }),
    ],
    groups,
    // Nothing that training was tested with is the same of two runs by name alone.
    protocol: (entry) => (recordOf(entry) ? '' : undefined),
    notes: [
      `Rewards: means of the first and of the last ${windows.join(' or ')} steps. Before: of the base model. The trained ` +
        'model of the best validation is the one that is tested.',
    ],
  });
  return table.ours ? [table] : [];
}
