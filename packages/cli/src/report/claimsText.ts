// The paper's claims and what our runs say of them, as HTML and as Markdown.
import type { Claim, Evidence } from './claims.js';
import { escapeHtml } from './html.js';

const NOTE =
  'Each difference is between models of our runs that differ in one thing, a value a seed, with the 95 % interval of ' +
  'Student’s t over seeds. held: the interval lies where the claim says, within 3 points of none where it says there is ' +
  'none; contradicted: it lies on the other side, or beyond them; undecided: neither, or a single seed.';

const heads = ['model and sets', 'difference', 'mean', '95 % interval', 'seeds', 'verdict'] as const;

/** The cells of one piece of evidence, as `heads` names them. */
function cellsOf({ where, what, unit, difference: { mean, low, high, n }, verdict }: Evidence): string[] {
  const digits = unit === 'nats' ? 3 : 1;
  const signed = (value: number) => `${value > 0 ? '+' : ''}${value.toFixed(digits)}`;
  const interval = Number.isFinite(low) ? `${signed(low)} to ${signed(high)}` : '–';
  return [where, what, `${signed(mean)} ${unit}`, interval, String(n), verdict];
}

const marks: Record<Evidence['verdict'], string> = { held: '✓', contradicted: '✗', undecided: '?' };

/** A table for each claim. */
export function claimsHtml(claims: readonly Claim[]): string {
  const head = heads.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join('');
  const tables = claims.map(({ claim, source, evidence }) => {
    const rows = evidence.map((each) => {
      const [where = '', ...cells] = cellsOf(each);
      const last = cells.pop()!;
      const tds = cells.map((text) => `<td>${escapeHtml(text)}</td>`).join('');
      return `<tr><th scope="row">${escapeHtml(where)}</th>${tds}<td>${marks[each.verdict]} ${last}</td></tr>`;
    });
    return (
      `<h3>${escapeHtml(claim)} <small>(the paper’s ${escapeHtml(source)})</small></h3>` +
      `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(claim)}">` +
      `<table class="runs"><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
    );
  });
  return `<p>${escapeHtml(NOTE)}</p>${tables.join('\n')}`;
}

/** The same as Markdown. */
export function claimsMarkdown(claims: readonly Claim[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const tables = claims.map(({ claim, source, evidence }) => {
    const rows = evidence.map((each) => line(cellsOf(each)));
    const rules = line(heads.map((_, i) => (i >= 2 && i < 5 ? '---:' : '---')));
    return `### ${claim} (the paper's ${source})\n\n${[line(heads), rules, ...rows].join('\n')}`;
  });
  return `## Claims\n\n${NOTE}\n\n${tables.join('\n\n')}`;
}
