/** What a command's exit code says (DESIGN 9). */
export const exitCodes = { failed: 1, usage: 2, notReady: 3, refused: 4, unreachable: 5 } as const

/** Ends a command: its exit code, and one sentence that says what is wrong and what to do. */
export class CommandError extends Error {
  readonly exit: keyof typeof exitCodes

  constructor(exit: keyof typeof exitCodes, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
    this.exit = exit
  }
}
