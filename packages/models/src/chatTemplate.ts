import { Template } from '@huggingface/jinja';

/** One turn of a conversation. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, or what else the template knows. */
  role: string;
  content: string;
}

export interface ChatOptions {
  /** Whether to end with the opening of the assistant's turn; true unless said otherwise. */
  addGenerationPrompt?: boolean;
  /** Further variables of the template, such as `date_string` for Llama 3.2, which otherwise writes today's date. */
  variables?: Record<string, unknown>;
}

/** The library's `strftime_now` names months in the language of the machine; models are trained on English ones. */
const C_STRFTIME = 'strftime_now_in_c_locale';
const prelude = new Template(`{% set strftime_now = ${C_STRFTIME} %}`);

/** Renders a conversation as the text the model was trained on; special tokens are written out in it. */
export type ChatTemplate = (messages: readonly ChatMessage[], options?: ChatOptions) => string;

/**
 * A chat template in Jinja, as stored in tokenizer_config.json. `specialTokens` are variables such as `bos_token`.
 *
 * @throws Error naming `where` for a template that does not parse, and when rendering for an empty conversation, a
 * message without text, and whatever the template itself refuses.
 * @example
 * createChatTemplate('{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}', { eos_token: '</s>' })([
 *   { role: 'user', content: '1 + 1?' },
 * ]); // '1 + 1?</s>'
 */
export function createChatTemplate(
  source: string,
  specialTokens: Readonly<Record<string, string>> = {},
  where = 'chat_template',
): ChatTemplate {
  let template: Template;
  try {
    template = new Template(source);
    template.parsed.body.unshift(...prelude.parsed.body);
  } catch (error) {
    throw new Error(`${where}: expected a Jinja template, got one that does not parse: ${messageOf(error)}`);
  }
  return (messages, { addGenerationPrompt = true, variables = {} } = {}) => {
    if (messages.length === 0) throw new Error(`${where}: expected at least one message, got none`);
    messages.forEach(({ role, content }, i) => {
      if (typeof role !== 'string' || typeof content !== 'string') {
        throw new TypeError(
          `${where}: messages[${i}]: expected a role and a content of text, got ${typeof role} and ${typeof content}`,
        );
      }
    });
    try {
      return template.render({
        tools: null, // transformers defines both, whether there are any or not
        documents: null,
        [C_STRFTIME]: strftimeNow,
        ...specialTokens,
        ...variables,
        messages: [...messages],
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      const roles = messages.map(({ role }) => role).join(', ');
      throw new Error(`${where}: expected a conversation the template takes, got roles ${roles}: ${messageOf(error)}`);
    }
  };
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Today by C's strftime in the C locale, as templates are given it by transformers; some write it into the prompt. */
function strftimeNow(format: string): string {
  const now = new Date();
  const name = (options: Intl.DateTimeFormatOptions) => now.toLocaleDateString('en-US', options);
  const two = (value: number) => String(value).padStart(2, '0');
  const fields: Record<string, string> = {
    a: name({ weekday: 'short' }),
    A: name({ weekday: 'long' }),
    b: name({ month: 'short' }),
    B: name({ month: 'long' }),
    d: two(now.getDate()),
    m: two(now.getMonth() + 1),
    y: two(now.getFullYear() % 100),
    Y: String(now.getFullYear()),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    '%': '%',
  };
  return format.replace(/%(.)/g, (_, field: string) => {
    if (fields[field] !== undefined) return fields[field];
    throw new Error(`strftime_now: expected one of %${Object.keys(fields).join(' %')}, got %${field}`);
  });
}
