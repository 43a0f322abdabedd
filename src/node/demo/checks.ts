import { Resolver } from 'node:dns/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { CommandError } from '../blogger/failure.ts'

/**
 * Asks until there is an answer other than null.
 * Throws `notReady` with `what` and what was last in the way, after the deadline.
 */
export async function until<T>(
  what: string,
  check: () => Promise<T | null>,
  { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<T> {
  const end = performance.now() + deadlineMs
  let trouble = ''
  while (performance.now() < end) {
    signal.throwIfAborted()
    try {
      const answer = await check()
      if (answer !== null) return answer
    } catch (error) {
      if (!(error instanceof CommandError) || error.exit === 'refused') throw error
      trouble = ` ${error.message}`
    }
    await wait(100, undefined, { signal })
  }
  throw new CommandError('notReady', `${what} within ${deadlineMs / 1000} s.${trouble}`)
}

/** What one DNS server says of the zone; null when it says nothing, or does not know the name. */
export async function askZone(
  server: string,
  zone: string,
  name: string,
): Promise<{ readonly serial: number; readonly addresses: readonly string[] } | null> {
  const resolver = new Resolver({ timeout: 500, tries: 1 })
  resolver.setServers([server])
  try {
    const [soa, addresses] = await Promise.all([resolver.resolveSoa(zone), resolver.resolve4(name)])
    return { serial: soa.serial, addresses: addresses.sort() }
  } catch {
    return null
  }
}

/** The addresses of a name, when all servers give the same ones and the same serial; else null. */
export async function askAll(
  servers: readonly string[],
  zone: string,
  name: string,
): Promise<readonly string[] | null> {
  const answers = await Promise.all(servers.map((server) => askZone(server, zone, name)))
  const [first] = answers
  if (first === null || first === undefined) return null
  const isSame = answers.every((answer) => JSON.stringify(answer) === JSON.stringify(first))
  return isSame ? first.addresses : null
}
