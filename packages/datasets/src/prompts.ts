/** What ends a thought. Source: Butt et al. 2025, arXiv:2509.19170, appendix C. */
export const stopPhrase = 'The final answer is:';

/**
 * What is put after a thought before the answer is generated: after one that ended in the stop phrase, and after one
 * that ran into the cap. Source: as `stopPhrase`.
 */
export const prefill = { stopped: '\\boxed{', capped: `${stopPhrase} \\boxed{` } as const;

/**
 * The paper's prompt: one plain template for every model, zero-shot, no chat template.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, appendix B.
 *
 * @example paperPrompt('What is 2+2?') // 'A conversation between User and Assistant. ... User: What is 2+2? Assistant:'
 */
export function paperPrompt(question: string): string {
  return (
    'A conversation between User and Assistant. The user asks a question, and the Assistant solves it. ' +
    'The assistant first shows the complete reasoning process step by step, ' +
    'then provides the final answer in \\boxed{}. The assistant must always follow the format: ' +
    `'User: [question] Assistant: [detailed reasoning] ${stopPhrase} \\boxed{[answer]}.' ${plainPrompt(question)}`
  );
}

/**
 * The turn alone, for small models that are taught the format rather than told it.
 *
 * @example plainPrompt('What is 2+2?') // 'User: What is 2+2? Assistant:'
 */
export function plainPrompt(question: string): string {
  return `User: ${question} Assistant:`;
}

/** The templates by name, for configuration files. */
export const promptTemplates = { paper: paperPrompt, plain: plainPrompt } as const;

/** A name in `promptTemplates`. */
export type PromptName = keyof typeof promptTemplates;
