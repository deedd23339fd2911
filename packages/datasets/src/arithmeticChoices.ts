import { type ArithmeticOptions, type Told, toldArithmetic } from './arithmetic.js';
import { apply, isPossible, largestTotal, type Skeleton } from './arithmeticSkeleton.js';
import { type Slip, work } from './arithmeticStory.js';
import type { Choice } from './choice.js';
import { createRandom, pick, type Random } from './random.js';

/** Worked solutions beside the right one. */
const wrongSolutions = 3;
/** A wrong result is at most so far from the right one. */
const largestError = 10;

/**
 * The problems of `arithmetic`, each with four worked solutions of which one is right:
 *
 *   ` 7+5=12. 12-3=9. The final answer is: \boxed{9}`       right
 *   ` 7+5=13. 13-3=10. The final answer is: \boxed{10}`     one step wrong, by at most 10, and carried on to the end
 *
 * The step that is wrong is drawn, and so are its result and the place of the right solution; they depend on the seed
 * and the problem alone. Totals stay within 0..99 and shares exact, so that nothing but the wrong step tells. The four
 * results differ. `solutionPrompt` puts a question before its solutions.
 *
 * @throws RangeError as `arithmetic`.
 * @example arithmeticChoices({ split: 'test', count: 100, seed: 1, levels: [4, 5] })[0]?.choices.length // 4
 */
export function arithmeticChoices(options: ArithmeticOptions): Choice[] {
  return toldArithmetic(options).map(withWrongSolutions);
}

function withWrongSolutions({ problem, skeleton }: Told): Choice {
  const random = createRandom(`choices/${problem.id}`); // a stream of its own: the problem stays as it is
  const choices = wrongOnes(skeleton, problem.answer, random);
  const correct = random.below(choices.length + 1);
  choices.splice(correct, 0, problem.solution!);
  return { id: problem.id, context: problem.question, choices, correct };
}

/** Solutions with a slip each, whose results differ from each other and from the right one. */
function wrongOnes(skeleton: Skeleton, answer: string, random: Random): string[] {
  const slips = skeleton.operations.map((_, step) => slipsAt(skeleton, step)).filter((some) => some.length > 0);
  const solutions = new Map<string, string>();
  // It ends: the last step may have any result near the right one, which makes ten results at least.
  while (solutions.size < wrongSolutions) {
    const wrong = work(skeleton, pick(random, pick(random, slips)));
    if (wrong.answer !== answer) solutions.set(wrong.answer, wrong.solution);
  }
  return [...solutions.values()];
}

/** The wrong results of a step from which the computation can go on. */
function slipsAt({ start, operations }: Skeleton, step: number): Slip[] {
  const right = operations.slice(0, step + 1).reduce(apply, start);
  const rest = operations.slice(step + 1);
  const goesOn = (result: number) => {
    let total = result;
    return rest.every((operation) => {
      if (!isPossible(total, operation)) return false;
      total = apply(total, operation);
      return true;
    });
  };
  const near = Array.from({ length: 2 * largestError + 1 }, (_, i) => right - largestError + i);
  return near
    .filter((result) => result !== right && result >= 0 && result <= largestTotal && goesOn(result))
    .map((result) => ({ step, result }));
}
