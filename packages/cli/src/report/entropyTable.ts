// How sure models are along their thoughts, in one number a setting.

import type { Mode, SettingName } from '@soft-tokens/samplers';
import { tableModes } from '../jobs/tasks.js';
import { type Entry, type Group, protocolOf, setName } from './groups.js';
import { settingOf } from './paperTables.js';
import { type Column, type Table, tableOf } from './tables.js';

/** Mean entropy over all positions of a setting's thoughts, in nats; undefined where none was measured. */
export function meanEntropy(entry: Entry, set: string, setting: SettingName): number | undefined {
  const { mean = [], count = [] } = settingOf(entry, set, setting)?.entropy ?? {};
  const total = count.reduce((sum, n) => sum + n, 0);
  return total > 0 ? mean.reduce<number>((sum, value, t) => sum + (value ?? 0) * count[t]!, 0) / total : undefined;
}

/** The table of a set: a row a model, two columns each kind of thought at inference. */
export function entropyTable(groups: readonly Group[], set: string): Table {
  const column = (kind: Mode, way: 'greedy' | 'sample'): Column => ({
    id: `${set}/${kind}-${way}/entropy`,
    group: `${kind} thoughts`,
    label: way,
    unit: 'nats',
    digits: 3,
    scale: 1,
    value(entry) {
      const value = meanEntropy(entry, set, `${kind}-${way}`);
      return value === undefined ? undefined : { value };
    },
  });
  return tableOf({
    id: `entropy-${set}`,
    number: '',
    title: `Mean entropy on ${setName(set)}`,
    columns: tableModes.flatMap((kind) => [column(kind, 'greedy'), column(kind, 'sample')]),
    groups,
    protocol: (entry) => protocolOf(entry, set),
    notes: ['Of the distribution at temperature 1, over all positions of the thoughts that were measured.'],
  });
}
