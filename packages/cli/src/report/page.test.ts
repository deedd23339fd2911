import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeRun } from '../test/experiment.js';
import { temporaryFolder } from '../test/tools.js';
import { collectRuns } from './collect.js';
import { meanLine, movingMean, percentRange } from './draw.js';
import { LEAST_THOUGHTS } from './figures.js';
import { escapeHtml } from './html.js';
import { reportCsv, reportMarkdown } from './markdown.js';
import { type Report, reportPage } from './page.js';
import { sampleThoughts, shadeOf } from './thoughts.js';
import { reportData, reportOf } from './write.js';

const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
afterAll(folder.remove);

let report: Report;
let page: string;
beforeAll(async () => {
  const llama = {
    model: 'Llama-3.2-3B-Instruct',
    data: { kind: 'gsm8k', train: '/data/someone/<b>&"train.jsonl' },
    steps: 60,
    sets: { gsm8k: { kind: 'gsm8k', questions: 20 } },
  };
  const noise = { factor: 1, scale: 'entry' as const };
  const folders = [
    writeRun(at('seed-1'), { ...llama, seed: 1 }),
    writeRun(at('seed-2'), { ...llama, seed: 2 }),
    writeRun(at('noise'), { ...llama, modes: ['fuzzy'], noise }),
    writeRun(at('tiny'), { samples: 4, steps: 30 }),
    writeRun(at('going'), { ...llama, seed: 3, unfinished: true }),
  ];
  report = reportOf(await collectRuns(folders));
  page = reportPage(report);
}, 60_000);

test('every element is closed, in order', () => {
  const open: string[] = [];
  const empty = new Set(['meta', '!doctype']);
  for (const [, slash, name, self] of page.matchAll(/<(\/?)([a-zA-Z!][\w-]*)(?:"[^"]*"|[^">])*?(\/?)>/g)) {
    if (empty.has(name!) || self) continue;
    if (slash) expect(open.pop()).toBe(name);
    else open.push(name!);
  }
  expect(open).toEqual([]);
});

test('needs nothing from anywhere', () => {
  const outside = page.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '').match(/https?:|<script|<link|@import|url\(|src=/g);
  expect(outside).toBeNull();
});

test('names no directory of the machine, and what it quotes is no markup', () => {
  for (const text of [page, reportMarkdown(report), reportCsv(report), JSON.stringify(reportData(report))]) {
    expect(text).not.toContain('/data/someone');
    expect(text).not.toContain(folder.path);
  }
  expect(page).not.toContain('<apples>');
  expect(page).not.toContain('> <b></span>');
  expect(page).toContain('How many &lt;apples&gt; does Mia have now?');
  expect(escapeHtml('<a href="&">')).toBe('&lt;a href=&quot;&amp;&quot;&gt;');
});

test('light and dark colours for every series', () => {
  expect(page.match(/--soft: #/g)).toHaveLength(2);
  expect(page).toContain('prefers-color-scheme: dark');
});

test('links lead to something, and no id is there twice', () => {
  const { document } = parseHTML(page);
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const link of document.querySelectorAll('a')) expect(ids).toContain(link.getAttribute('href')!.slice(1));
});

test('every table of the paper is there, those that were not run folded, with its number beside ours', () => {
  const { document } = parseHTML(page);
  const tags = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => document.querySelector(`#table-${number}`)!.tagName);
  expect(tags).toEqual(['DIV', 'DETAILS', 'DIV', 'DETAILS', 'DETAILS', 'DIV', 'DIV', 'DIV']);
  const table = document.querySelector('#table-3')!;
  const cells = [...table.querySelectorAll('tbody tr:not(.model) td')];
  expect(cells.filter((cell) => cell.querySelector('.none'))).not.toHaveLength(0);
  expect(cells.some((cell) => cell.querySelector('.none') && cell.querySelector('.paper'))).toBe(true);
  expect(cells.some((cell) => cell.querySelector('b')?.textContent?.endsWith('*'))).toBe(true);
  expect(table.innerHTML).toContain('2 seeds; 95 % interval over questions');
});

test('the numbers of figures are those of the paper where model, set and training are its own', () => {
  const { training, passAtK, entropy, ablations, notRun } = report.figures;
  const numbers = [...training, ...passAtK, ...entropy, ...ablations].map(({ number }) => number);
  expect(numbers).toEqual([
    'Figure 2',
    'As figure 2',
    'Figure 3',
    'Figure 11',
    'As figure 11',
    'Figure 4',
    'As figure 4',
    'Figure 5',
  ]);
  expect(notRun.map(({ number }) => number)).toEqual([6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19]);
});

test('axes have names and units, captions numbers of samples, and nothing is drawn of what is no number', () => {
  const { document } = parseHTML(page);
  const svgs = [...document.querySelectorAll('svg[aria-label]')];
  expect(svgs).toHaveLength(4 + 4 + 1 + 3 + 3 + 4 + 4 + 2);
  for (const svg of svgs) {
    expect(svg.getAttribute('aria-label')).toMatch(/^.+: .+(,|\(|norm|tokens).* over .+; at the right end /);
    expect(svg.querySelectorAll('path[d]').length).toBeGreaterThan(0);
    expect(svg.outerHTML).not.toContain('NaN');
  }
  const captions = [...document.querySelectorAll('figcaption')].map(({ textContent }) => textContent);
  for (const caption of captions) expect(caption).toMatch(/\d+ (samples|questions).*(seed|One seed)/);
  // The run that goes on has its curve, and the mean goes as far as all of them have come.
  expect(captions[0]).toContain(
    'Bold: mean of 3 seeds, as far as all of them have come; thin: each seed. Not finished: going.',
  );
  const [hard] = report.figures.training[0]!.panels[0]!.lines.filter(({ thin }) => !thin);
  expect(hard!.points.at(-1)!.x).toBe(30);
});

test('an entropy profile ends where too few thoughts reach', () => {
  const { panels } = report.figures.entropy[0]!;
  expect(panels.map(({ title }) => title)).toEqual([
    'Base, not trained',
    'Hard training',
    'Fuzzy training',
    'Soft training',
  ]);
  const run = report.collection.runs.find(({ name }) => name === 'seed-1')!;
  const { count } = run.results!.models[0]!.sets[0]!.settings.find(({ setting }) => setting === 'hard-sample')!.entropy;
  const line = panels[0]!.lines.find(({ name }) => name === 'hard sample, seed 1')!;
  expect(line.points).toHaveLength(count.findIndex((thoughts) => thoughts < LEAST_THOUGHTS));
  expect(line.points[0]!.x).toBe(1);
});

test('thoughts can be read without pointing at them, and the base is there once', () => {
  const { document } = parseHTML(page);
  const articles = [...document.querySelectorAll('article.thought')];
  const subjects = 4 + 1 + 4; // of the first seed, of the other noise without the base, of tiny
  expect(articles).toHaveLength(6 * 2 * subjects);
  const [first] = articles;
  const { steps } = report.thoughts.shown[0]!.thought;
  expect(first!.querySelectorAll('.strip span')).toHaveLength(steps.length);
  expect(first!.querySelectorAll('table.steps tbody tr')).toHaveLength(steps.length);
  expect(first!.querySelector('.strip span')!.getAttribute('title')).toMatch(
    /^entropy \d\.\d\d nats: “.+” \d+\.\d %, /,
  );
  expect([0, 0.05, 0.06, 0.5, 0.51, 3, 9].map(shadeOf)).toEqual([0, 0, 1, 1, 2, 6, 7]);
});

test('a page has room for so many thoughts, one of each setting before a second', () => {
  const run = report.collection.runs.find(({ name }) => name === 'seed-1');
  const long = run!.thoughts.map((each) => ({
    ...each,
    thoughts: each.thoughts.map((thought) => ({ ...thought, steps: Array(600).fill(thought.steps[0]!) })),
  }));
  const { shown, leftOut } = sampleThoughts([{ ...run!, thoughts: long }]);
  expect([shown.length, leftOut]).toEqual([26, 22]);
  expect(shown.filter(({ thought }) => thought.correct)).toHaveLength(24);
});

test('Markdown has the tables and what was left out', () => {
  const text = reportMarkdown(report);
  expect(text).toContain('## Table 3. The six inference settings on GSM8K');
  expect(text).toMatch(
    /\| Llama-3\.2-3B-Instruct \| GSM8K, soft \| (\*\*)?\d+\.\d ± \d+\.\d(\\\*\*\*)? \(77\.2 ± 0\.9\) \|/,
  );
  expect(text).toContain('- going: not finished, no results.json yet: hard 30 of 60 steps');
  for (const [header, rule] of [...text.matchAll(/^(\|.*\|)\n(\|[ :|-]+\|)$/gm)].map(([, a, b]) => [a, b])) {
    expect(header!.replaceAll('\\|', '').split('|')).toHaveLength(rule!.split('|').length);
  }
});

test('CSV has a number of every table a line, with those of the paper', () => {
  const [head, ...lines] = reportCsv(report).trim().split('\n');
  const columns = head!.split(',');
  const rows = lines.map((line) =>
    [...line.matchAll(/(?:"((?:[^"]|"")*)"|([^",]*))(?:,|$)/g)]
      .slice(0, columns.length)
      .map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare!),
  );
  expect(new Set(rows.map(({ length }) => length))).toEqual(new Set([columns.length]));
  const find = (...values: string[]) => rows.find((cells) => values.every((value) => cells.includes(value)))!;
  const row = find('table-3', 'Llama-3.2-3B-Instruct', 'soft', 'gsm8k', 'gsm8k/hard-sample@32');
  const cell = (name: string) => row[columns.indexOf(name)];
  expect([cell('n'), cell('paper'), cell('paper_sd'), cell('unit')]).toEqual(['2', '97.9', '0.3', '%']);
  expect(cell('tested')).toMatch(/^\d+ questions.*, 32 samples, /);
  const [mean, low, high] = ['mean', 'low', 'high'].map((name) => Number(cell(name)));
  expect(low! <= mean! && mean! <= high!).toBe(true);
  expect(find('table-3', 'Qwen2.5-3B-Instruct', 'base', 'gsm8k/hard-greedy@1')[columns.indexOf('mean')]).toBe('');
});

test('the moving mean of a line, shorter at its ends', () => {
  const points = Array.from({ length: 20 }, (_, i) => ({ x: i, y: i === 0 ? 3 : 0 }));
  expect(movingMean(points).slice(0, 3)).toEqual([
    { x: 0, y: 1.5 },
    { x: 1, y: 1 },
    { x: 2, y: 0 },
  ]);
});

test('the mean of lines where all of them are', () => {
  const line = (...ys: number[]) => ys.map((y, x) => ({ x, y }));
  expect(meanLine([line(1, 2, 3), line(3, 4)])).toEqual(line(2, 3));
  expect(meanLine([])).toEqual([]);
});

test('a scale of whole tens around points and bands, never narrower than ten, within 0 and 100', () => {
  const points = (...values: number[]) => values.map((y) => ({ x: 1, y }));
  expect(percentRange(points(93.1, 95))).toEqual([90, 100]);
  expect(percentRange(points(41, 58.2))).toEqual([40, 60]);
  expect(percentRange(points(100))).toEqual([90, 100]);
  expect(percentRange(points(0))).toEqual([0, 10]);
  expect(percentRange([{ x: 1, y: 50, low: 31, high: 72 }])).toEqual([30, 80]);
});
