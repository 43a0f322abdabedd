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
  return pathOf(tool) !== null
}

/** Where a program stands, null when it is not on the PATH. */
export function pathOf(tool: string): string | null {
  const places = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, tool))
  return places.find(isExecutable) ?? null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
