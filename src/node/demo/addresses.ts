import { once } from 'node:events'
import { createServer } from 'node:net'
import { CommandError } from '../blogger/failure.ts'
import { type DemoPlan, frontDoorHost } from './plan.ts'

/**
 * Tries every address and TCP port that the demo will use, so that what is missing or taken is said
 * before anything starts. Throws `failed` with the sentence, and what to do.
 */
export async function checkAddresses(plan: DemoPlan): Promise<void> {
  const places = [
    [frontDoorHost, plan.port],
    ...[plan.authority, ...plan.spokes].flatMap(({ host, hasDns, isAuthority }) => [
      [host, plan.p2pPort] as const,
      [host, plan.innerPort] as const,
      ...(isAuthority ? [] : [[host, plan.port] as const]),
      ...(hasDns ? [[host, plan.dnsPort] as const] : []),
    ]),
  ] as const
  const missing = new Set<string>()
  for (const [host, port] of places) {
    const code = await tryAddress(host, port)
    if (code === 'EADDRNOTAVAIL') missing.add(host)
    else if (code === 'EADDRINUSE') {
      throw new CommandError(
        'failed',
        `${host}:${port} is taken by another program, perhaps another demo. End it, or choose another port with --port.`,
      )
    } else if (code !== null) {
      throw new CommandError('failed', `Cannot listen on ${host}:${port}: ${code}.`)
    }
  }
  if (missing.size > 0) throw new CommandError('failed', missingAddresses([...missing]))
}

/** Linux has all of 127.0.0.0/8; macOS wants each address added, until the next restart. */
export function missingAddresses(hosts: readonly string[]): string {
  return [
    'Each peer of the demo needs an own loopback address, and this system lacks some. Add them with:',
    ...hosts.map((host) => `  sudo ifconfig lo0 alias ${host} up`),
  ].join('\n')
}

async function tryAddress(host: string, port: number): Promise<string | null> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}
