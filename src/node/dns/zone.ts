import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/** A spoke as `@roster` has it. */
export type ZoneSpoke = {
  /** Its label, e.g. `a`. */
  readonly name: string
  /** IPv4 or IPv6 literals of its web addresses that were fetched from outside. */
  readonly addresses: readonly string[]
  /** The same of those at a port to which readers do not come; named only where nothing else is. */
  readonly elsewhere?: readonly string[]
  /** Admitted, not away, not cut off. */
  readonly listed: boolean
  /** Its peer id, by which blogs name it. */
  readonly peer: string
}

/** A peer with `dns`, as `@roster` has it. */
export type ZoneNameserver = { readonly name: string; readonly addresses: readonly string[] }

/** A blog as `@names` has it: the newest act in force. */
export type ZoneBlog = {
  readonly name: string
  /** Id of its genesis entry, 64 hex. */
  readonly genesis: string
  /** Fingerprint of its key, 40 HEX. */
  readonly key: string
  readonly epoch: number
  /** Peer id. */
  readonly primary: string
  /** Peer ids in the act's order, the primary included. */
  readonly replicas: readonly string[]
}

/** What the council's two logs say, as far as DNS is concerned. */
export type ZoneInput = {
  /** Lower case, without a dot at the end: `blogs.example.org`. */
  readonly zone: string
  /** `edit.<blog>` or `edit--<blog>`; `@roster` entry 0 chooses, for ever. */
  readonly editForm: 'dotted' | 'dashed'
  /** Seq of the log's head, -1 when it has no entry. */
  readonly rosterSeq: number
  readonly namesSeq: number
  readonly spokes: readonly ZoneSpoke[]
  readonly nameservers: readonly ZoneNameserver[]
  readonly blogs: Iterable<ZoneBlog>
  /** Bootstrap addresses (`council://…`), published as TXT at the apex. */
  readonly bootstrap: readonly string[]
}

export type AddressSet = {
  readonly type: 'A' | 'AAAA'
  readonly ttlSeconds: number
  /** Canonical literals, each once. */
  readonly values: readonly string[]
  /** False where the first address is the better one: at an edit host, the primary's. */
  readonly rotates: boolean
}
export type NsSet = {
  readonly type: 'NS'
  readonly ttlSeconds: number
  readonly values: readonly string[]
}
export type TxtSet = {
  readonly type: 'TXT'
  readonly ttlSeconds: number
  /** One item per record; a record is a list of strings of at most 255 bytes. */
  readonly values: readonly (readonly string[])[]
}
export type SoaSet = {
  readonly type: 'SOA'
  readonly ttlSeconds: number
  readonly mname: string
  readonly rname: string
  readonly serial: number
  readonly refreshSeconds: number
  readonly retrySeconds: number
  readonly expireSeconds: number
  readonly minimumSeconds: number
}
/** All records of one name and one type (RFC 9499: RRset). */
export type RecordSet = AddressSet | NsSet | TxtSet | SoaSet

/**
 * What the zone says about a name and a type. `nodata`: the name exists without that type, or
 * only names below it have records (an empty non-terminal, as `spoke.<zone>`); `nxdomain`: neither
 * it nor anything below it exists; `refused`: the name lies outside the zone.
 */
export type Lookup =
  | { readonly kind: 'records'; readonly set: RecordSet }
  | { readonly kind: 'nodata' | 'nxdomain' | 'refused' }

/** A browser keeps an address for a minute whatever the TTL, so less would only cost questions. */
export const addressTtlSeconds = 60
/** A blogger who wants to write waits for the new primary; the target of a fail-over rests on it. */
export const editTtlSeconds = 30
const textTtlSeconds = 60
const nameserverTtlSeconds = 300
const soaTtlSeconds = 60
/** How long "there is no such name" is kept, so that a claimed name is soon reachable (RFC 2308). */
const negativeTtlSeconds = 30
/** Raised whenever this file makes another zone from the same logs, so that the serial rises too. */
const zoneFormat = 2
const maxTextStringBytes = 255

const nodata: Lookup = { kind: 'nodata' }
const nxdomain: Lookup = { kind: 'nxdomain' }
const refused: Lookup = { kind: 'refused' }

type Addresses = { readonly A: readonly string[]; readonly AAAA: readonly string[] }
const noAddresses: Addresses = { A: [], AAAA: [] }

/** What `@roster` alone decides; shared by zones that differ only in blogs. */
type RosterPart = Pick<ZoneInput, 'zone' | 'editForm' | 'rosterSeq'> & {
  /** Listed spokes only, by peer id: where readers find their pages. */
  readonly live: ReadonlyMap<string, Addresses>
  /** The same of listed spokes whose pages are all at other ports. */
  readonly elsewhere: ReadonlyMap<string, Addresses>
  /** Record sets of the apex (SOA apart), of `<spoke>.spoke` and of `<peer>.ns`, by relative name. */
  readonly fixed: ReadonlyMap<string, readonly RecordSet[]>
  readonly mname: string
}

/**
 * The council's DNS zone: a pure function of its two logs, so that all its DNS servers answer
 * alike and a difference from the live zone is proof. Blogs stay as the log has them; their record
 * sets are made when first asked for and are the same objects from then on, so an encoder may keep
 * bytes beside them.
 */
export class Zone {
  readonly name: string
  readonly soa: SoaSet
  private readonly roster: RosterPart
  private readonly blogs: ReadonlyMap<string, ZoneBlog>
  /** Record sets of blogs and edit hosts that were asked for, by relative name. */
  private readonly made: Map<string, readonly RecordSet[]>

  /** Use `buildZone`. */
  constructor(
    roster: RosterPart,
    namesSeq: number,
    blogs: ReadonlyMap<string, ZoneBlog>,
    made: Map<string, readonly RecordSet[]>,
  ) {
    this.name = roster.zone
    this.roster = roster
    this.blogs = blogs
    this.made = made
    this.soa = {
      type: 'SOA',
      ttlSeconds: soaTtlSeconds,
      mname: roster.mname,
      rname: `hostmaster.${roster.zone}`,
      serial: (1 + roster.rosterSeq + namesSeq + zoneFormat) % 2 ** 32,
      refreshSeconds: 60,
      retrySeconds: 30,
      expireSeconds: 7 * 86_400,
      minimumSeconds: negativeTtlSeconds,
    }
  }

  /**
   * @param name - lower case, without a dot at the end
   * @param type - as in a zone file (`A`, `TXT`); a type this zone never has gives `nodata`;
   *   `ANY` gives one record set of the name (RFC 8482)
   */
  lookup(name: string, type: string): Lookup {
    if (name !== this.name && !name.endsWith(`.${this.name}`)) return refused
    const sets = this.setsAt(name.slice(0, -this.name.length - 1))
    if (sets === null) return nxdomain
    const set = type === 'ANY' ? sets[0] : sets.find((candidate) => candidate.type === type)
    return set === undefined ? nodata : { kind: 'records', set }
  }

  /**
   * The zone after acts of `@names` that changed these blogs. Equal to building it anew, but keeps
   * what was made for all others.
   */
  withBlogs(namesSeq: number, changed: Iterable<ZoneBlog>): Zone {
    const blogs = new Map(this.blogs)
    const made = new Map(this.made)
    for (const blog of changed) {
      blogs.set(blog.name, blog)
      made.delete(blog.name)
      made.delete(this.editHost(blog.name))
    }
    return new Zone(this.roster, namesSeq, blogs, made)
  }

  private editHost(blog: string): string {
    return (this.roster.editForm === 'dotted' ? 'edit.' : 'edit--') + blog
  }

  /** Null when the name does not exist, empty when only names below it have records. */
  private setsAt(relative: string): readonly RecordSet[] | null {
    if (relative === '') return [this.soa, ...(this.roster.fixed.get('') ?? [])]
    const known = this.roster.fixed.get(relative) ?? this.made.get(relative)
    if (known !== undefined) return known

    const editPrefix = this.editHost('')
    const edited = relative.startsWith(editPrefix)
      ? this.blogs.get(relative.slice(editPrefix.length))
      : undefined
    const blog = this.blogs.get(relative)
    const sets =
      edited !== undefined ? this.editSets(edited) : blog !== undefined ? this.blogSets(blog) : null
    if (sets !== null) this.made.set(relative, sets)
    return sets
  }

  private blogSets(blog: ZoneBlog): readonly RecordSet[] {
    const live = this.poolOf(blog)
    const secondaries = liveSecondaries(blog, live)
    const primary = live.get(blog.primary) ?? noAddresses
    // By family: to a reader with IPv4 only, secondaries with IPv6 only are none.
    const of = (family: 'A' | 'AAAA') => {
      const values = secondaries.flatMap((spoke) => spoke[family])
      return values.length > 0 ? values : primary[family]
    }
    const text = `council-blog genesis=${blog.genesis} key=${blog.key} epoch=${blog.epoch}`
    return [
      ...addressSets({ A: of('A'), AAAA: of('AAAA') }, addressTtlSeconds, true),
      ...textSets([text]),
    ]
  }

  private editSets(blog: ZoneBlog): readonly RecordSet[] {
    const live = this.poolOf(blog)
    const primary = live.get(blog.primary) ?? noAddresses
    const secondaries = liveSecondaries(blog, live)
    const of = (family: 'A' | 'AAAA') => [
      ...primary[family],
      // The first live one, which is also the one a fail-over would promote.
      ...(secondaries.find((spoke) => spoke[family].length > 0)?.[family] ?? []),
    ]
    return addressSets({ A: of('A'), AAAA: of('AAAA') }, editTtlSeconds, false)
  }

  /** A blog none of whose replicas is where readers come has the others: they may know the port. */
  private poolOf({ replicas }: ZoneBlog): ReadonlyMap<string, Addresses> {
    const { live, elsewhere } = this.roster
    return replicas.some((peer) => live.has(peer)) ? live : elsewhere
  }
}

function liveSecondaries(blog: ZoneBlog, live: ReadonlyMap<string, Addresses>): Addresses[] {
  return blog.replicas
    .filter((peer) => peer !== blog.primary)
    .map((peer) => live.get(peer))
    .filter((addresses) => addresses !== undefined)
}

/**
 * Builds the zone. Equal input gives an equal zone, in whatever order spokes, name servers, blogs
 * and bootstrap addresses come. Costs one pass over the blogs; after acts of `@names` alone,
 * `Zone.withBlogs` keeps what was made before.
 */
export function buildZone(input: ZoneInput): Zone {
  const { zone } = input
  const live = new Map<string, Addresses>()
  const elsewhere = new Map<string, Addresses>()
  const fixed = new Map<string, readonly RecordSet[]>()
  const spokes = input.spokes.toSorted(byName)
  for (const spoke of spokes) {
    const isAside = spoke.addresses.length === 0 && (spoke.elsewhere ?? []).length > 0
    // By its own name a spoke is found wherever its pages are: nobody else is there.
    const own = isAside ? (spoke.elsewhere ?? []) : spoke.addresses
    const addresses = spoke.listed ? byFamily(own) : noAddresses
    if (spoke.listed) (isAside ? elsewhere : live).set(spoke.peer, addresses)
    fixed.set(`${spoke.name}.spoke`, addressSets(addresses, addressTtlSeconds, true))
  }
  const targets: string[] = []
  for (const nameserver of input.nameservers.toSorted(byName)) {
    const relative = `${nameserver.name}.ns`
    const sets = addressSets(byFamily(nameserver.addresses), addressTtlSeconds, true)
    fixed.set(relative, sets)
    // A name server without an address would only make resolvers wait.
    if (sets.length > 0) targets.push(`${relative}.${zone}`)
  }
  if (input.spokes.length > 0) fixed.set('spoke', [])
  if (input.nameservers.length > 0) fixed.set('ns', [])

  const pool = live.size > 0 ? live : elsewhere
  const all = spokes.map((spoke) => pool.get(spoke.peer) ?? noAddresses)
  const apex: Addresses = {
    A: all.flatMap((addresses) => addresses.A),
    AAAA: all.flatMap((addresses) => addresses.AAAA),
  }
  fixed.set('', [
    ...addressSets(apex, addressTtlSeconds, true),
    ...textSets([...new Set(input.bootstrap)].sort(byText)),
    ...(targets.length === 0
      ? []
      : [{ type: 'NS', ttlSeconds: nameserverTtlSeconds, values: targets } as const]),
  ])

  const { editForm, rosterSeq, namesSeq } = input
  const roster = { zone, editForm, rosterSeq, live, elsewhere, fixed, mname: targets[0] ?? zone }
  const blogs = new Map<string, ZoneBlog>()
  for (const blog of input.blogs) blogs.set(blog.name, blog)
  return new Zone(roster, namesSeq, blogs, new Map())
}

/** By code unit, never by locale: every peer must come to the same order. */
function byText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return byText(one.name, other.name)
}

/** One spelling per address, so that two spellings do not become two equal records. */
function byFamily(addresses: readonly string[]): Addresses {
  const canonical = (address: string) => new SocketAddress({ address, family: 'ipv6' }).address
  return {
    A: addresses.filter((address) => isIPv4(address)),
    // A scoped literal (fe80::1%eth0) means something on one machine only.
    AAAA: addresses
      .filter((address) => isIPv6(address) && !address.includes('%'))
      .map((address) => canonical(address)),
  }
}

/** The sets that are not empty. Two spokes behind one address are one record (RFC 2181, 5). */
function addressSets(addresses: Addresses, ttlSeconds: number, rotates: boolean): AddressSet[] {
  return (['A', 'AAAA'] as const)
    .map((type) => ({ type, ttlSeconds, values: [...new Set(addresses[type])], rotates }))
    .filter((set) => set.values.length > 0)
}

function textSets(texts: readonly string[]): TxtSet[] {
  if (texts.length === 0) return []
  return [{ type: 'TXT', ttlSeconds: textTtlSeconds, values: texts.map(splitText) }]
}

/** A record's strings are joined again by who reads it (RFC 7208, 3.3). Texts are ASCII. */
function splitText(text: string): string[] {
  const strings: string[] = []
  for (let at = 0; at < text.length; at += maxTextStringBytes) {
    strings.push(text.slice(at, at + maxTextStringBytes))
  }
  return strings
}
