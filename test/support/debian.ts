import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Whether a program is on the PATH. Everything a test starts stands in `prepare.sh`, which
 * installs it where it may; elsewhere the test is skipped, so that the run names it:
 *
 *     describe.skipIf(!has('gpg'))('verify', () => { … })
 *
 * Never return early from a test instead: it would count as passed.
 */
export function has(tool: string): boolean {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .some((folder) => folder !== '' && isExecutable(join(folder, tool)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
