import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import type { PeerName } from '../auth/peer-signature.ts'
import { accept, type Verdict } from '../auth/verdict.ts'
import { ReplicationError } from '../replication/errors.ts'
import { pageShape, toOffer } from '../replication/exchange/sync.ts'
import type { Offer } from '../replication/log/rules.ts'
import { ask } from '../replication/network.ts'
import { JOIN } from '../replication/protocol.ts'
import { decodeAct } from '../replication/registry/act.ts'
import { formatBootstrap, parseBootstrap } from '../replication/registry/bootstrap.ts'
import { rosterRules } from '../replication/registry/council-rules.ts'
import { CommandError } from './blogger/failure.ts'
import { realClock } from './clock.ts'
import { createLogger } from './logger.ts'
import { Peer } from './peer.ts'

/** A council as one of its peers shows it: no more than that peer's word, until ids are compared. */
export type FoundCouncil = {
  /** `zone/council id` */
  readonly council: string
  /** the bootstrap address that stands for it from now on */
  readonly bootstrap: string
  /** who answered */
  readonly peer: PeerName
  /** who founded it, and signs `@roster`; the date of that act, as it stands there */
  readonly authority: PeerName
  readonly founded: string
}

/**
 * Asks the peer at a bare multiaddr which council it is of, as a stranger with a key for this once.
 * What it answers is whole in itself: the council id is the hash of the first act, and that is signed
 * by the authority that it names. Whether it is the council that was meant, only a person can say.
 * Throws `usage`, `unreachable`, `refused`.
 */
export async function lookAtCouncil(address: string): Promise<FoundCouncil> {
  checkAddress(address)
  const folder = await mkdtemp(join(tmpdir(), 'council-look-'))
  try {
    await using stranger = await Peer.start({
      privateKey: await generateKeyPair('Ed25519'),
      ...{ folder, listen: [], announce: [] },
      isMember: () => false,
      records: { validate: async () => undefined, select: () => 0 },
      clock: realClock,
      logger: createLogger('silent'),
    })
    const peer = await stranger.dial(address)
    const asked = { t: 'roster', from: 0 }
    const page = await ask(stranger.network(), peer, JOIN, asked, pageShape)
    await stranger.hangUp(peer).catch(() => undefined)
    const [first] = page.entries
    if (first === undefined)
      throw new CommandError(
        'unreachable',
        `The peer at ${address} is of no council yet. Try again in a minute.`,
      )
    const founding = await readFounding(toOffer(first))
    if (!founding.ok)
      throw new CommandError(
        'refused',
        `The peer at ${address} shows a first act of its council that does not hold: ${founding.reason}`,
      )
    return {
      ...founding.value,
      peer,
      bootstrap: bootstrapBy(address, peer, founding.value.council),
    }
  } catch (cause) {
    if (!(cause instanceof ReplicationError)) throw cause
    throw whyNothing(address, cause)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What went wrong there: nobody answered, or somebody does not say which council it is of. */
export function whyNothing(address: string, cause: ReplicationError): CommandError {
  const why = cause.message.replace(/\.$/, '')
  return cause.code === 'PEER_UNREACHABLE'
    ? new CommandError('unreachable', `No peer of a council answers at ${address}: ${why}.`, {
        cause,
      })
    : new CommandError(
        'refused',
        `The peer at ${address} does not say which council it is of: ${why}.`,
        { cause },
      )
}

function checkAddress(address: string): void {
  const parts = readParts(address)
  if (/^ip[46]|^dns/.test(parts[0] ?? '') && parts[1] === 'tcp') return
  throw new CommandError(
    'usage',
    `"${address}" is no address of a peer: want council://…, or one like /ip4/192.0.2.1/tcp/4001.`,
  )
}

function readParts(address: string): string[] {
  try {
    return multiaddr(address)
      .getComponents()
      .map(({ name }) => name)
  } catch {
    return []
  }
}

function bootstrapBy(address: string, peer: PeerName, council: string): string {
  const bare = address.replace(/\/p2p\/[^/]+$/, '')
  const bootstrap = formatBootstrap({ council, peers: [`${bare}/p2p/${peer}`], invite: null })
  const read = parseBootstrap(bootstrap)
  if (!read.ok) throw new CommandError('usage', read.reason)
  return bootstrap
}

/**
 * What the first act of a `@roster` says, if it is whole: signed by the authority that it names, and in
 * force. Codes: those of `decodeAct` and of the rules of `@roster`.
 */
export async function readFounding(
  offer: Offer,
): Promise<Verdict<Pick<FoundCouncil, 'council' | 'authority' | 'founded'>>> {
  const act = decodeAct(offer.text)
  if (!act.ok) return act
  const founding = await rosterRules(() => null).next(null, act.value, offer, true)
  if (!founding.ok) return founding
  const { council, authorities } = founding.value.state
  const authority = authorities[0]?.peer as PeerName
  return accept({ council, authority, founded: act.value.date })
}
