import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// Programs that ask the council's DNS and nobody else, as on a real machine whose resolver leads
// there: in a mount namespace with an /etc/resolv.conf of its own. DNS servers in that file have no
// port, so the council answers on port 53 of loopback addresses.

/** Whether this machine lets a test have a mount namespace, and port 53 of a loopback address. */
export async function hasOwnResolver(host: string): Promise<boolean> {
  if (spawnSync('unshare', ['--mount', 'mount', '--bind', '/etc', '/etc']).status !== 0)
    return false
  const socket = createSocket('udp4')
  try {
    socket.bind(53, host)
    await once(socket, 'listening')
    return true
  } catch {
    return false
  } finally {
    socket.close()
  }
}

/**
 * Writes a program into a folder that runs another one where nothing but these servers resolves
 * names, and returns its path.
 */
export function withResolver(folder: string, servers: readonly string[], program: string): string {
  const resolver = join(folder, 'resolv.conf')
  const names = join(folder, 'nsswitch.conf')
  writeFileSync(
    resolver,
    `${servers.map((server) => `nameserver ${server}\n`).join('')}options timeout:1\n`,
  )
  writeFileSync(names, 'hosts: dns\n')
  const path = join(folder, `${program.split('/').at(-1)}-with-resolver`)
  writeFileSync(
    path,
    `#!/bin/sh
exec unshare --mount sh -c '
  mount --bind ${resolver} /etc/resolv.conf && mount --bind ${names} /etc/nsswitch.conf && exec "$@"
' sh ${program} "$@"
`,
  )
  chmodSync(path, 0o755)
  return path
}
