// Measured sections of a document, between `<!-- name -->` and `<!-- /name -->`.
import { readFileSync, writeFileSync } from 'node:fs';

/** Prints sections, and writes them into a document where one is named. */
export function publish(sections, document) {
  for (const text of Object.values(sections)) console.log(`${text}\n`);
  if (document === undefined) return;
  let content = readFileSync(document, 'utf8');
  for (const [name, text] of Object.entries(sections)) {
    const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [start, end] = [content.indexOf(open), content.indexOf(close)];
    if (start < 0 || end < start) throw new Error(`${document}: expected ${open} ... ${close}, got none; add them`);
    content = `${content.slice(0, start + open.length)}\n\n${text}\n\n${content.slice(end)}`;
  }
  writeFileSync(document, content);
}
