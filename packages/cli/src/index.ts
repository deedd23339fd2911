export type { ExitCode } from './errors.js';
export { main } from './main.js';
