/** Where one peer of the demo stands, before it is started. */
export type PlannedPeer = {
  readonly name: string
  /** own loopback address: name, DNS answer and port are the whole address of its pages */
  readonly host: string
  readonly isAuthority: boolean
  readonly hasDns: boolean
}

export type DemoPlan = {
  readonly zone: string
  /** of the pages, at every spoke and at the front door */
  readonly port: number
  readonly dnsPort: number
  /** where peers dial each other: a relay of the demo, which can be cut */
  readonly p2pPort: number
  /** where the peers themselves listen */
  readonly innerPort: number
  /** silence after which a peer counts as down, ms */
  readonly silenceMs: number
  readonly authority: PlannedPeer
  readonly spokes: readonly PlannedPeer[]
}

/** TCP port of the pages, unless another one is asked for. */
export const defaultPort = 8_380
export const frontDoorHost = '127.0.0.1'

/**
 * The council of the demo: the authority on 127.0.0.10, spokes a, b, c … on 127.0.0.11 and on, DNS
 * on the authority and on spoke a. The other ports follow from the pages' one, so that two demos
 * with different ports stand side by side: DNS 27 below it (8353), peers 21 above it (8401) by way
 * of relays, and 22 above it behind these. Pure.
 */
export function planDemo({
  spokes,
  port,
  silenceMs = 15_000,
}: {
  readonly spokes: number
  readonly port: number
  readonly silenceMs?: number
}): DemoPlan {
  return {
    zone: 'blogs.localhost',
    port,
    dnsPort: port - 27,
    p2pPort: port + 21,
    innerPort: port + 22,
    silenceMs,
    authority: { name: 'authority', host: '127.0.0.10', isAuthority: true, hasDns: true },
    spokes: Array.from({ length: spokes }, (_, index) => ({
      name: String.fromCharCode(97 + index),
      host: `127.0.0.${11 + index}`,
      isAuthority: false,
      hasDns: index === 0,
    })),
  }
}

/** The `council.json` of one peer. Everybody has another operator, so that copies are spread. */
export function peerConfig(plan: DemoPlan, peer: PlannedPeer, bootstrap: string | null): object {
  const { host, name } = peer
  // One more than are needed: the front page goes on while one of them is down.
  const volunteers = plan.spokes.indexOf(peer) < 3
  const { port, dnsPort, p2pPort, innerPort, silenceMs } = plan
  return {
    data: './data',
    name,
    operator: peer.isAuthority ? 'Authority of the demo' : `Group ${name.toUpperCase()}`,
    network: null,
    country: null,
    peer: {
      listen: [`/ip4/${host}/tcp/${innerPort}`],
      announce: [`/ip4/${host}/tcp/${p2pPort}`],
      dialFrom: host,
    },
    council: bootstrap === null ? { zone: plan.zone } : { bootstrap },
    web: { origin: `http://{host}:${port}` },
    ...(peer.isAuthority
      ? { authority: { admission: 'open', replicas: 3, edit: 'dotted' } }
      : {
          spoke: { host, port, addresses: [`http://${host}:${port}`] },
          ...(volunteers ? { aggregator: {} } : {}),
        }),
    ...(peer.hasDns ? { dns: { host, port: dnsPort, addresses: [`${host} ${dnsPort}`] } } : {}),
    // Sooner than elsewhere: who watches does not wait for another minute.
    failover: { silenceMs, replaceAfterMs: silenceMs },
    // It shall run on a machine whose disk is nearly full as well.
    disk: { newBlogsPercent: 99, copiesPercent: 100, replacePercent: 100, reserveMiB: 1 },
    log: { level: 'info' },
  }
}
