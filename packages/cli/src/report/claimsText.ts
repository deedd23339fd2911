// The paper's claims and what our runs say of them, as HTML and as Markdown.
import type { Claim, Evidence } from './claims.js';
import { groupBy } from './groups.js';
import { escapeHtml } from './html.js';

const NOTE =
  'Each difference is between models of our runs that differ in one thing, a value a seed, with the 95 % interval of ' +
  'Student’s t over seeds; it says nothing of other questions than those tested, ' +
  'and one interval in twenty misses by chance. Held: the interval lies where the claim ' +
  'says; of a claim of no difference, within 3 points or 0.1 nats of none. Contradicted: it lies on the other side, or ' +
  'beyond them. Undecided: neither, or a single seed.';

const heads = ['model and sets', 'difference', 'mean', '95 % interval', 'seeds', 'verdict'] as const;
const isNumber = (column: number) => column >= 2 && column < 5;

/** The cells of each piece of evidence, as `heads` names them. */
function rowsOf(evidence: readonly Evidence[]): string[][] {
  const nameOf = ({ where, what }: Evidence) => JSON.stringify([where, what]);
  const named = groupBy(evidence, nameOf);
  return evidence.map((each) => {
    const { where, what, tested, unit, difference, verdict } = each;
    const { mean, low, high, n } = difference;
    const signed = (value: number) => signedText(value, unit === 'nats' ? 3 : 1);
    const interval = Number.isFinite(low) ? `${signed(low)} to ${signed(high)}` : '–';
    // How it was tested is said where that alone tells it from another, without what they share.
    const twins = named.get(nameOf(each))!.filter((other) => other !== each);
    const own = tested.split(', ').filter((part) => twins.some((other) => !other.tested.split(', ').includes(part)));
    return [[where, ...own].join(', '), what, `${signed(mean)} ${unit}`, interval, String(n), verdict];
  });
}

/** A number with its sign; none of what prints as zero. */
function signedText(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? '−' : '+'}${text}`;
}

/** How many differences a claim has of each verdict: `2 held, 1 undecided`. */
function verdictsOf(evidence: readonly Evidence[]): string {
  const counts = (['held', 'contradicted', 'undecided'] as const).map(
    (verdict) => [evidence.filter((each) => each.verdict === verdict).length, verdict] as const,
  );
  return counts.flatMap(([count, verdict]) => (count > 0 ? `${count} ${verdict}` : [])).join(', ');
}

const marks: Record<Evidence['verdict'], string> = { held: '✓', contradicted: '✗', undecided: '?' };

/** A table for each claim, its rows by model and sets. */
export function claimsHtml(claims: readonly Claim[]): string {
  const classOf = (column: number) => (isNumber(column) ? ' class="number"' : '');
  const shown = heads.slice(1);
  const head = shown.map((text, i) => `<th scope="col"${classOf(i + 1)}>${escapeHtml(text)}</th>`).join('');
  const tables = claims.map(({ claim, source, evidence }) => {
    const rows = rowsOf(evidence).map(([where = '', what = '', ...cells], i) => {
      const last = `${marks[evidence[i]!.verdict]} ${cells.pop()!}`;
      const tds = [...cells, last].map((text, column) => `<td${classOf(column + 2)}>${escapeHtml(text)}</td>`).join('');
      return { where, html: `<tr><th scope="row">${escapeHtml(what)}</th>${tds}</tr>` };
    });
    const bodies = [...groupBy(rows, ({ where }) => where)].map(
      ([where, own]) =>
        `<tbody><tr class="model"><th colspan="${shown.length}" scope="rowgroup"><span>${escapeHtml(where)}</span></th></tr>` +
        `${own.map(({ html }) => html).join('\n')}</tbody>`,
    );
    return (
      `<h3>${escapeHtml(claim)} <small>(the paper’s ${escapeHtml(source)}): ${verdictsOf(evidence)}</small></h3>` +
      `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(claim)}">` +
      `<table class="runs claims"><thead><tr>${head}</tr></thead>${bodies.join('')}</table></div>`
    );
  });
  return `<p>${escapeHtml(NOTE)}</p>${tables.join('\n')}`;
}

/** The same as Markdown. */
export function claimsMarkdown(claims: readonly Claim[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const tables = claims.map(({ claim, source, evidence }) => {
    const rows = rowsOf(evidence).map(line);
    const rules = line(heads.map((_, i) => (isNumber(i) ? '---:' : '---')));
    return `### ${claim} (the paper's ${source}): ${verdictsOf(evidence)}\n\n${[line(heads), rules, ...rows].join('\n')}`;
  });
  return `## Claims\n\n${NOTE}\n\n${tables.join('\n\n')}`;
}
