import { authorityOf, type Member, type Roster } from '../replication/registry/roster.ts'

/**
 * Ports at which readers come to this council: those of its authority's own pages. DNS gives
 * addresses only, so a link leads to one port at whichever spoke it reaches. Not what most spokes
 * have: who is admitted for the asking could have most of them. null: the authority shows no pages,
 * and nothing can be said.
 */
export function readersPorts(roster: Roster): ReadonlySet<number> | null {
  const web = roster.members.get(authorityOf(roster))?.web ?? []
  return web.length === 0 ? null : new Set(web.map(portOf))
}

/** Whether readers come to the port of a web address. */
export const isAtPort = (url: string, ports: ReadonlySet<number> | null): boolean =>
  ports === null || ports.has(portOf(url))

/** 443 counts as 80: where a proxy ends TLS it has both, and either may stand in `@roster`. */
function portOf(url: string): number {
  const { protocol, port } = new URL(url)
  const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
  return number === 443 ? 80 : number
}

/** Ports of a spoke none of whose pages readers come to, and those where they come; null: it fits. */
export type OtherPort = { readonly own: readonly number[]; readonly readers: readonly number[] }

/** @param web - its web addresses, those in `@roster` or those that it asks for */
export function otherPort(roster: Roster, web: Member['web']): OtherPort | null {
  const ports = readersPorts(roster)
  if (ports === null || web.length === 0 || web.some((url) => isAtPort(url, ports))) return null
  return { own: [...new Set(web.map(portOf))], readers: [...ports] }
}

/** What that means, and what to do: for the operator of a spoke, by its name. */
export function sentenceOfPort(name: string, { own, readers }: OtherPort): string {
  return `${name} serves its pages at port ${shown(own)}, and readers of this council come to port ${shown(readers)}: DNS gives addresses only, so it leads them to ${name} only by its own name, or where no other replica is; it keeps its copies as before. Let it serve them at port ${shown(readers)} (spoke.port, spoke.addresses and web.origin in its council.json), and start it anew.`
}

const shown = (ports: readonly number[]) =>
  ports.map((port) => (port === 80 ? '80 or 443' : String(port))).join(' or ')
