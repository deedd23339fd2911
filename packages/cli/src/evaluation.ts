// One model on one test set in one setting: what each sample did, kept a line a question, and what it comes to.
import type { Problem } from '@soft-tokens/datasets';
import { lastBoxed } from '@soft-tokens/metrics';
import { boxedReward, evaluate, type Question, type Sample } from '@soft-tokens/rl';
import { isDeterministic, type SettingName, samplerFor, type ThoughtFormat } from '@soft-tokens/samplers';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { display } from './config/paths.js';
import type { Caps } from './config/recipe.js';
import { CliError } from './errors.js';
import type { EvaluationFiles } from './jobs/layout.js';
import { openRecords, readResult } from './jsonLines.js';
import { createProfile, type ThoughtStep } from './profile.js';
import { type SettingSummary, summarize } from './summary.js';
import type { Subject } from './training.js';

export interface EvaluationOptions {
  subject: Subject;
  /** σ of the noisy settings. */
  sigma: number;
  setting: SettingName;
  /** The problems, and each as the model is asked it. */
  problems: readonly Problem[];
  questions: readonly Question[];
  /** n of pass@k; greedy settings draw one, since all are the same. */
  samples: number;
  /** The k to report, at most `samples`. */
  k: readonly number[];
  caps: Caps;
  format?: ThoughtFormat | undefined;
  seed: number;
  /** Where it is kept. An evaluation that was stopped goes on after the last question that is there. */
  files: EvaluationFiles;
  signal: AbortSignal;
  onProgress?: (progress: EvaluationProgress) => void;
}

export interface EvaluationProgress {
  /** Questions. */
  done: number;
  total: number;
  /** Share of the samples so far that were correct, 0 to 1. */
  correct: number;
  /** Done before, by an evaluation that was stopped. */
  resumed?: boolean;
}

/** One question's samples, in order; a line of `<setting>.jsonl`. */
export interface QuestionRecord {
  id: string;
  /** What stands in the last box; null where there is none. */
  answers: (string | null)[];
  correct: boolean[];
  thoughtTokens: number[];
  thoughtEnd: Sample['thoughtEnd'][];
  answerEnd: Sample['answerEnd'][];
  /** Entropy in nats at each position, summed over the thoughts measured, and how many of them reach it. */
  entropy: { sum: number[]; count: number[] };
  /** The first sample step by step, of the first questions. */
  thought?: ThoughtRecord;
}

/** A thought that can be read step by step. */
export interface ThoughtRecord {
  questionId: string;
  question: string;
  gold: string;
  thought: string;
  answer: string;
  correct: boolean;
  thoughtEnd: Sample['thoughtEnd'];
  steps: ThoughtStep[];
}

/** The first so many questions keep a thought step by step. */
const THOUGHTS = 3;

/**
 * Evaluates one setting, or goes on with it, and returns what came of it; one that is finished is read.
 *
 * A question's samples depend on the seed, its place in the list and nothing else.
 *
 * @throws CliError where the file is damaged or holds an evaluation of other questions; the signal's reason when it aborts.
 * Source: Butt et al. 2025, arXiv:2509.19170, sec. 4.
 */
export async function evaluateSetting(options: EvaluationOptions): Promise<SettingSummary> {
  const { subject, setting, problems, questions, files, onProgress } = options;
  const samples = isDeterministic(setting) ? 1 : options.samples;
  const k = samples === 1 ? [1] : options.k;
  const finished = await readResult<SettingSummary>(files.summary);
  // For other k the samples that are there are counted up again.
  if (finished && String(finished.passAtK.map((point) => point.k)) === String(k)) return finished;
  const { records, writer } = await openRecords<QuestionRecord>(files.questions);
  try {
    requireSameQuestions(files.questions, records, questions);
    const tally = { correct: 0, samples: 0 };
    const count = ({ correct }: QuestionRecord) => {
      tally.correct += correct.filter(Boolean).length;
      tally.samples += correct.length;
    };
    const tell = (resumed: boolean) => {
      const progress = { done: records.length, total: questions.length, correct: tally.correct / tally.samples };
      onProgress?.({ ...progress, resumed });
    };
    records.forEach(count);
    if (records.length > 0) tell(true);
    const newProfile = () => createProfile({ subject, setting, samples, keep: Math.max(0, THOUGHTS - records.length) });
    let profile = newProfile();
    await evaluate({
      model: subject.model,
      text: subject.tokenizer,
      sampler: samplerFor(setting, options.sigma),
      questions,
      from: records.length,
      samples,
      reward: boxedReward(),
      maxThoughtTokens: options.caps.thought,
      maxAnswerTokens: options.caps.answer,
      ...(options.format && { format: options.format }),
      seed: options.seed,
      signal: options.signal,
      observe: (observation) => profile.observe(observation),
      onBatch: ({ samples: drawn }) => {
        const first = records.length;
        for (let i = 0; i * samples < drawn.length; i++) {
          const own = drawn.slice(i * samples, (i + 1) * samples);
          const record = recordOf(own, profile.entropy(i), profile.steps(i), problems[first + i]!);
          count(record);
          records.push(record);
          writer.append(record);
        }
        profile = newProfile();
        tell(false);
      },
    });
    writer.sync();
    const thoughts = records.flatMap(({ thought }) => (thought ? [thought] : []));
    const summary = summarize({ setting, samples, k, records });
    await writeFileAtomic(files.thoughts, `${JSON.stringify(thoughts)}\n`);
    await writeFileAtomic(files.summary, `${JSON.stringify(summary)}\n`);
    return summary;
  } finally {
    writer.close();
  }
}

/** Throws CliError where a file's records are not of the first of the questions that are asked now. */
export function requireSameQuestions(
  file: string,
  records: readonly { id: string }[],
  questions: readonly { id: string }[],
): void {
  const other = records.findIndex(({ id }, i) => id !== questions[i]?.id);
  if (other < 0) return;
  throw new CliError(
    `${display(file)}:${other + 1}: expected the question ${questions[other]?.id ?? 'to be among those asked'}, ` +
      `got ${records[other]!.id}: the set has changed since; remove the file to begin anew`,
  );
}

function recordOf(
  samples: readonly Sample[],
  entropy: QuestionRecord['entropy'],
  steps: ThoughtStep[] | undefined,
  { id, question, answer: gold }: Problem,
): QuestionRecord {
  const { shadowText: thought, answerText: answer, correct, thoughtEnd } = samples[0]!;
  return {
    id,
    answers: samples.map(({ answerText }) => lastBoxed(answerText) ?? null),
    correct: samples.map((sample) => sample.correct),
    thoughtTokens: samples.map(({ shadowIds }) => shadowIds.length),
    thoughtEnd: samples.map((sample) => sample.thoughtEnd),
    answerEnd: samples.map(({ answerEnd }) => answerEnd),
    entropy,
    ...(steps && { thought: { questionId: id, question, gold, thought, answer, correct, thoughtEnd, steps } }),
  };
}
