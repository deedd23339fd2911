// Writes a report in its four forms.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { claimsOf } from './claims.js';
import { type Collection, collectRuns } from './collect.js';
import { entropyTable } from './entropyTable.js';
import { reportFigures } from './figures.js';
import { groupsOf, mainGroups, setsOf } from './groups.js';
import { reportCsv, reportMarkdown, tablesOf } from './markdown.js';
import { type Report, reportPage } from './page.js';
import { furtherTables, reportTables } from './paperTables.js';
import { reportForms } from './records.js';
import type { Table } from './tables.js';
import { sampleThoughts } from './thoughts.js';
import { trainingTable } from './trainingTable.js';

/** Everything that a report says of some runs. */
export function reportOf(collection: Collection): Report {
  const groups = groupsOf(collection.runs);
  return {
    collection,
    tables: reportTables(collection, groups),
    training: trainingTable(groups),
    ...furtherTables(collection, groups),
    entropy: setsOf(collection, 'sets').map((set) => entropyTable(mainGroups(groups), set)),
    claims: claimsOf(groups),
    figures: reportFigures(collection, groups),
    thoughts: sampleThoughts(collection.runs),
  };
}

/** What a program reads of a report: its tables and figures, without where each file lies. */
export interface ReportData {
  runs: { name: string; model: string; trainedOn: string; modes: readonly string[]; seed: number; finished: boolean }[];
  leftOut: Collection['leftOut'];
  tables: readonly Table[];
  claims: Report['claims'];
  figures: Report['figures'];
}

/** A report as data. */
export function reportData(report: Report): ReportData {
  const { collection, claims, figures } = report;
  return {
    runs: collection.runs.map(({ name, model, trainedOn, config, seed, results }) => ({
      name,
      model,
      trainedOn,
      modes: config.modes,
      seed,
      finished: results !== undefined,
    })),
    leftOut: collection.leftOut,
    tables: tablesOf(report),
    claims,
    figures,
  };
}

/** Eight digits are more than any number here has. */
const rounded = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(8)) : value);

/** Writes report.html, .md, .csv and .json of run and sweep folders into a directory. Throws as `collectRuns` does. */
export async function writeReport(
  paths: readonly string[],
  directory: string,
): Promise<{ report: Report; files: string[] }> {
  const report = reportOf(await collectRuns(paths));
  const texts = {
    html: reportPage(report),
    md: reportMarkdown(report),
    csv: reportCsv(report),
    json: `${JSON.stringify(reportData(report), rounded)}\n`,
  };
  await mkdir(directory, { recursive: true });
  const files = reportForms.map((form) => join(directory, `report.${form}`));
  for (const [i, form] of reportForms.entries()) await writeFileAtomic(files[i]!, texts[form]);
  return { report, files };
}
