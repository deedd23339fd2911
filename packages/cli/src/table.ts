// Plain-text tables that fit a terminal of 80 columns.

/** A cell's text may hold colour codes, which take no room. */
const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');
const widthOf = (text: string) => text.replace(ANSI, '').length;

/**
 * Rows under headings, columns as wide as they need to be: the first one left-aligned, the others right-aligned.
 *
 * @example formatTable(['setting', 'pass@1'], [['hard-greedy', '42.0']]);
 * // setting      pass@1
 * // hard-greedy    42.0
 */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[], gap = 2): string {
  const widths = headings.map((heading, column) =>
    Math.max(widthOf(heading), ...rows.map((row) => widthOf(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const room = ' '.repeat(widths[column]! - widthOf(cell));
        return column === 0 ? cell + room : room + cell;
      })
      .join(' '.repeat(gap))
      .trimEnd();
  return [line(headings), ...rows.map(line)].join('\n');
}

/** A share as a percentage with one decimal: 0.4231 -> `42.3`. */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/**
 * Text broken at spaces into lines of at most `width`.
 *
 * @example wrap('one two three', 7); // 'one two\nthree'
 */
export function wrap(text: string, width = 80): string {
  const lines = [''];
  for (const word of text.split(/ +/)) {
    const last = lines.at(-1)!;
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}
