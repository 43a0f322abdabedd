import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { isCouncil } from '../log/text.ts'

/**
 * What somebody needs to join: `council://<zone>/<council id>?peer=<multiaddr>…[&invite=<secret>]`
 * (DESIGN 5). Published in TXT at the zone too.
 */
export type Bootstrap = {
  /** `zone/council id` */
  readonly council: string
  /** multiaddrs with the peer id at the end */
  readonly peers: readonly string[]
  readonly invite: string | null
}

export function formatBootstrap({ council, peers, invite }: Bootstrap): string {
  const query = [
    ...peers.map((peer) => `peer=${peer}`),
    ...(invite === null ? [] : [`invite=${encodeURIComponent(invite)}`]),
  ]
  return `council://${council}?${query.join('&')}`
}

/** Codes: BOOTSTRAP_SCHEME, BOOTSTRAP_COUNCIL, BOOTSTRAP_PEER, BOOTSTRAP_QUERY. */
export function parseBootstrap(address: string): Verdict<Bootstrap> {
  if (!address.startsWith('council://')) {
    return refuse(
      'BOOTSTRAP_SCHEME',
      'A bootstrap address begins with council:// and names zone, council id and peers.',
    )
  }
  const [council = '', ...rest] = address.slice('council://'.length).split('?')
  const query = rest.join('?')
  if (isCouncil(council) !== null) {
    return refuse(
      'BOOTSTRAP_COUNCIL',
      'Behind council:// want the zone, a slash and the council id of 64 hex digits.',
    )
  }
  const peers: string[] = []
  let invite: string | null = null
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'peer') peers.push(value)
    else if (name === 'invite' && invite === null) invite = value
    else
      return refuse(
        'BOOTSTRAP_QUERY',
        `"${name}" is not known in a bootstrap address, or stands twice.`,
      )
  }
  if (
    peers.length === 0 ||
    !peers.every((peer) => /^\/[a-z0-9]+\/[\w.:/-]+\/p2p\/12D3Koo[1-9A-HJ-NP-Za-km-z]+$/.test(peer))
  ) {
    return refuse(
      'BOOTSTRAP_PEER',
      'A bootstrap address names at least one peer=/ip4/…/tcp/…/p2p/12D3Koo….',
    )
  }
  return accept({ council, peers, invite })
}
