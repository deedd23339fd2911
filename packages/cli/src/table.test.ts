import pico from 'picocolors';
import { expect, test } from 'vitest';
import { duration } from './progress.js';
import { formatTable, percent, wrap } from './table.js';

test('columns are as wide as they need be, colour codes take no room', () => {
  const colors = pico.createColors(true);
  const text = formatTable(
    ['setting', '@1'],
    [
      ['hard', colors.bold('100.0')],
      ['soft-greedy', ''],
    ],
  );
  expect(text.replaceAll(colors.bold('100.0'), '100.0')).toBe('setting         @1\nhard         100.0\nsoft-greedy');
});

test('percentages, times, lines', () => {
  expect([percent(0.4235), percent(1)]).toEqual(['42.4', '100.0']);
  expect([0.4, 59.6, 190, 7500].map(duration)).toEqual(['0s', '1m00s', '3m10s', '2h05m']);
  expect(wrap('one two three', 7)).toBe('one two\nthree');
});
