/**
 * Resolves with the first SIGINT or SIGTERM: the caller then stops in order, and the process ends
 * by itself. A second one ends it at once.
 *
 * @param orEndOfInput - also when stdin ends: whoever started this process is gone, however it died
 */
export function stopSignal({ orEndOfInput = false } = {}): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let asked = false
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(signal, () => {
      if (asked) process.exit(exitCode)
      asked = true
      resolve()
    })
  }
  if (orEndOfInput) {
    process.stdin.on('end', resolve).on('error', resolve).resume()
    // Waiting for its end is no reason to live on when the work is over. A file has no unref.
    process.stdin.unref?.()
  }
  return promise
}
