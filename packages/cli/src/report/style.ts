// How the page looks: one column of text, wide tables that scroll by themselves, light and dark.
import { colorVariables } from './draw.js';

/** Eight shades of entropy. */
const shades = Array.from(
  { length: 8 },
  (_, i) => `.e${i} { background: color-mix(in srgb, var(--heat) ${i * 9}%, transparent); }`,
);

export const STYLE = `
:root { color-scheme: light dark; --text: #1d2129; --faint: #5a6270; --line: #d9dde3; --page: #ffffff; --panel: #f6f7f9; --heat: #d97706;
  --right: #15803d; --wrong: #b91c1c; ${colorVariables('light')} }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7ec; --faint: #9aa3b0; --line: #343a44; --page: #14171c; --panel: #1c2027; --heat: #f59e0b;
    --right: #4ade80; --wrong: #f87171; ${colorVariables('dark')} }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 70rem; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: inherit; text-decoration-color: var(--faint); text-underline-offset: .2em; }
:focus-visible { outline: 2px solid var(--soft); outline-offset: 2px; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; letter-spacing: -.01em; text-wrap: balance; }
h2 { margin: 3.25rem 0 .75rem; font-size: 1.3rem; letter-spacing: -.005em; }
h3 { margin: 2rem 0 .6rem; font-size: 1rem; }
h4 { margin: 0 0 .3rem; font-size: .9rem; font-weight: 600; }
p { margin: .25rem 0 1rem; color: var(--faint); max-width: 48rem; }
p.note, figcaption { margin: .5rem 0 0; font-size: .85rem; line-height: 1.5; color: var(--faint); max-width: 56rem; }
nav ul, ul.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; margin: 1rem 0; padding: 0; list-style: none; font-size: .9rem; }
ul.legend { margin: 0 0 .9rem; }
ul.legend i { display: inline-block; width: 1.5rem; height: 0; margin-right: .45rem; border-top: 3px solid; vertical-align: middle; }
pre { margin: 0 0 1.25rem; padding: .9rem 1.1rem; overflow-x: auto; background: var(--panel); border-radius: 8px;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.scroll { overflow-x: auto; border-block: 1px solid var(--line); }
table { border-collapse: collapse; font-size: .86rem; line-height: 1.35; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .32rem .55rem; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--line); }
thead th[colspan] { text-align: center; padding-left: 1.1rem; padding-bottom: 0; border-bottom: 0; }
thead th[colspan] span { display: block; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
th.row, .runs th, .runs td { text-align: left; }
.runs .number { text-align: right; }
.claims tbody tr:not(.model) th { white-space: normal; min-width: 9rem; padding-left: 1.1rem; }
tbody th { font-weight: 400; text-align: left; }
th.row { position: sticky; left: 0; background: var(--page); z-index: 1; }
tr.model th { padding-top: .8rem; font-weight: 600; }
tr.model span { position: sticky; left: .55rem; }
tbody tr:not(.model):hover > * { background: var(--panel); }
.first { padding-left: 1.1rem; }
td small, th small { font-size: .76rem; color: var(--faint); font-weight: 400; }
th small { display: block; max-width: 12rem; white-space: normal; }
td .paper { display: block; }
.none { color: var(--faint); opacity: .7; }
.tag { padding: .05rem .45rem; border: 1px solid var(--line); border-radius: 99px; font-size: .75rem; font-weight: 400; color: var(--faint); }
.tag.right { color: var(--right); } .tag.wrong { color: var(--wrong); }
.table { margin-bottom: 1.5rem; }
details, details.table { margin: .5rem 0; }
details > summary { cursor: pointer; padding: .25rem 0; font-size: .95rem; }
details[open] > summary { margin-bottom: .5rem; }
figure { margin: 2rem 0 2.5rem; }
figure h3 { margin-top: 0; }
.panels { display: grid; gap: 1.5rem 1.75rem; }
.panels.of2 { grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.panels.of3 { grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
.panel { min-width: 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; color: var(--faint); }
article.thought { margin: 0 0 1.5rem; padding: .9rem 1.1rem; background: var(--panel); border-radius: 8px; }
article.thought p { margin: .35rem 0; max-width: none; }
article.thought .question { font-style: italic; }
article.thought .strip { color: var(--text); white-space: pre-wrap; line-height: 1.75; font-size: .95rem; }
article.thought .answer b { color: var(--text); }
article.thought details { margin: .25rem 0 0; font-size: .9rem; }
.strip span, .scale span { border-radius: 3px; }
.scale { font-size: .85rem; }
.scale span { padding: .1rem .5rem; color: var(--text); }
table.steps th, table.steps td { text-align: left; white-space: normal; padding-block: .15rem; }
table.steps td:nth-child(2) { white-space: pre; }
${shades.join('\n')}
@media (max-width: 36rem) {
  body { padding: 1.5rem .9rem 3rem; }
  th.row { max-width: 8.5rem; white-space: normal; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  .scroll { overflow: visible; }
  figure, article.thought, .panel { break-inside: avoid; }
  nav { display: none; }
}
`;
