// Sample thoughts: the shadow text of each, a token shaded by its entropy, and what was in the mixture.
import type { SettingName } from '@soft-tokens/samplers';
import type { SubjectName } from '../jobs/tasks.js';
import type { Run } from './collect.js';
import { groupBy, setId, setName } from './groups.js';
import { escapeHtml, folded } from './html.js';
import type { Thought } from './records.js';

/** A thought and whose it is. */
export interface SampleThought {
  run: Run;
  subject: SubjectName;
  set: string;
  setting: SettingName;
  thought: Thought;
}

/** Steps that a page shows at most, so that it stays one that a browser opens at once. */
const MOST_STEPS = 16_000;
/** Steps of a thought whose mixtures are listed. */
const LISTED_STEPS = 128;

/**
 * The thoughts to show: of each model, set and setting the first right one and the first wrong one, in the run of the
 * smallest seed, as many as there is room for.
 */
export function sampleThoughts(runs: readonly Run[]): { shown: SampleThought[]; leftOut: number } {
  const chosen = firstOfSeeds(runs).flatMap((run) =>
    run.thoughts.flatMap(({ subject, set, setting, thoughts }) =>
      [true, false].flatMap((correct) => {
        const thought = thoughts.find((each) => each.correct === correct);
        return thought ? [{ run, subject, set: setId(run, set), setting, thought }] : [];
      }),
    ),
  );
  const fits = new Set<SampleThought>();
  let steps = 0;
  // One of each setting comes before a second one of any.
  const seen = new Set<string>();
  const keyOf = ({ run, subject, set, setting }: SampleThought) => JSON.stringify([run.name, subject, set, setting]);
  const [first, second] = [[] as SampleThought[], [] as SampleThought[]];
  for (const sample of chosen) {
    (seen.has(keyOf(sample)) ? second : first).push(sample);
    seen.add(keyOf(sample));
  }
  for (const sample of [...first, ...second]) {
    if (steps + sample.thought.steps.length > MOST_STEPS) continue;
    steps += sample.thought.steps.length;
    fits.add(sample);
  }
  return { shown: chosen.filter((sample) => fits.has(sample)), leftOut: chosen.length - fits.size };
}

/** Of runs that differ by their seed alone the first, of the base model too. */
function firstOfSeeds(runs: readonly Run[]): Run[] {
  const withThoughts = runs.filter(({ thoughts }) => thoughts.length > 0).toSorted((a, b) => a.seed - b.seed);
  const groups = groupBy(withThoughts, ({ model, trainedOn, config }) =>
    JSON.stringify([model, trainedOn, config.noise, config.temperature, config.modes]),
  );
  const bases = new Set<string>();
  return [...groups.values()].map(([run]) => {
    const again = bases.has(run!.model);
    bases.add(run!.model);
    return again ? { ...run!, thoughts: run!.thoughts.filter(({ subject }) => subject !== 'base') } : run!;
  });
}

/** Entropy as one of eight shades: up to 0.05 nats, up to a half, 1, 1.5, 2, 2.5, 3, and above. */
export function shadeOf(entropy: number | null): number {
  return entropy === null || entropy <= 0.05 ? 0 : Math.min(7, Math.ceil(2 * entropy));
}

const share = (p: number) => (p < 0.0001 ? '< 0.01 %' : `${(100 * p).toFixed(p < 0.01 ? 2 : 1)} %`);
const nats = (entropy: number | null) => (entropy === null ? 'unknown' : entropy.toFixed(2));

/** Blanks that a reader would not see. */
function visible(token: string): string {
  const shown = token.replaceAll('\n', '↵').replaceAll('\t', '⇥');
  return shown.trim() === '' ? shown.replaceAll(' ', '␣') || '∅' : shown.replace(/^ /, '␣');
}

const topText = (top: Thought['steps'][number]['top']) =>
  top.map(({ token, p }) => `“${visible(token)}” ${share(p)}`).join(', ');

/** All sample thoughts, folded by model and way of training. */
export function thoughtsHtml(samples: readonly SampleThought[], leftOut: number): string {
  const key = ({ run, subject, set }: SampleThought) =>
    `${run.model}, ${subject === 'base' ? 'not trained' : `trained on ${setName(run.trainedOn)} in ${subject} thoughts (${run.name})`}, on ${setName(set)}`;
  const shades = ['0.05', '0.5', '1', '1.5', '2', '2.5', '3', 'more'];
  const scale = shades.map((text, i) => `<span class="e${i}">${text}</span>`).join('');
  const groups = [...groupBy(samples, key)].map(([name, own]) => folded(name, own.map(thoughtHtml).join('\n')));
  const note =
    leftOut > 0 ? `<p class="note">${leftOut} more are left out for their length; the run folders have all.</p>` : '';
  return (
    '<p>Hard thoughts are shown in their own tokens, soft and fuzzy ones in their shadow text: at each step the likeliest token of ' +
    'the mixture. Darker is less certain, by the entropy at temperature 1. Point at a token for its entropy and the five largest ' +
    'shares, or open the table under the thought: of a soft thought the mixture at τ = 0.5, of a fuzzy one at τ = 0.0001, of a ' +
    'hard one the probabilities of the tokens.</p>' +
    `<p class="scale">entropy, nats, up to ${scale}</p>${groups.join('\n')}${note}`
  );
}

function thoughtHtml({ setting, thought }: SampleThought): string {
  const { question, gold, answer, correct, thoughtEnd, steps } = thought;
  const tokens = steps.map(
    ({ token, entropy, top }) =>
      `<span class="e${shadeOf(entropy)}" title="${escapeHtml(`entropy ${nats(entropy)} nats: ${topText(top)}`)}">${tokenHtml(token)}</span>`,
  );
  const rows = steps
    .slice(0, LISTED_STEPS)
    .map(
      ({ token, entropy, top }, i) =>
        `<tr><th scope="row">${i + 1}</th><td>${escapeHtml(visible(token))}</td><td>${nats(entropy)}</td><td>${escapeHtml(topText(top))}</td></tr>`,
    );
  const more =
    steps.length > LISTED_STEPS ? `<p class="note">The first ${LISTED_STEPS} of ${steps.length} steps.</p>` : '';
  const list =
    '<div class="scroll" tabindex="0" role="region" aria-label="Steps of the thought"><table class="steps"><thead><tr><th scope="col">step</th>' +
    '<th scope="col">token</th><th scope="col">entropy, nats</th><th scope="col">largest shares</th></tr></thead>' +
    `<tbody>${rows.join('')}</tbody></table></div>${more}`;
  const verdict = correct ? 'right' : 'wrong';
  return (
    `<article class="thought"><h4>${setting.replace('-', ' ')} <span class="tag ${verdict}">${verdict}</span></h4>` +
    `<p class="question">${escapeHtml(question)}</p><p class="strip">${tokens.join('')}</p>` +
    `<p class="answer">answer <b>${escapeHtml(answer === '' ? 'none' : answer)}</b>, gold <b>${escapeHtml(gold)}</b>; ` +
    `${steps.length} tokens, ended by ${thoughtEnd === 'cap' ? 'the cap' : 'the phrase'}</p>` +
    `${folded('Each step', list)}</article>`
  );
}

/** A token as it stands in the text; a line break is shown and breaks. */
const tokenHtml = (token: string): string => escapeHtml(token).replaceAll('\n', '↵\n');
