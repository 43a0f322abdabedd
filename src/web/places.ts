import { type Place, placeOfHost } from './host.ts'
import type { WebSpoke } from './spoke.ts'

/** Hosts of which the place is remembered. There are endlessly many that somebody may ask for. */
const maxHosts = 1_000
const maxHostCharacters = 300

/** Reads Host headers as `placeOfHost` does for this spoke, and remembers what it read. */
export function placeReader(spoke: Pick<WebSpoke, 'zone' | 'editForm' | 'addresses'>) {
  const known = new Map<string, Place>()
  let form = spoke.editForm()
  return (host: string): Place => {
    const now = spoke.editForm()
    // The council's form is known once `@roster` is here.
    if (now !== form) known.clear()
    form = now
    const before = known.get(host)
    if (before !== undefined) return before
    const place = placeOfHost(host, spoke.zone, form, spoke.addresses())
    if (host.length > maxHostCharacters) return place
    if (known.size >= maxHosts) known.clear()
    known.set(host, place)
    return place
  }
}
