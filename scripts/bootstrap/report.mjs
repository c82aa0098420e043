/** A reason that the user can act on: shown without a stack. */
export class SetUpError extends Error {}

/** Progress goes to stderr, so that stdout is the product's alone. @param {string} text */
export function say(text) {
  process.stderr.write(`xvault: ${text}\n`);
}
