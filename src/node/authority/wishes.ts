import type { Member } from '../../replication/registry/roster.ts'

// The wishes, the weightiest first. A set costs the weights of what each member has in common with
// those before it.
const wishes = ['operator', 'network', 'country'] as const
const weights = { operator: 10_000, network: 100, country: 1 } as const
type Wish = (typeof wishes)[number]
type Traits = {
  readonly operator: string
  /** its own word, and the /16 or /48 of its web addresses */
  readonly nets: readonly string[]
  readonly country: string | null
}

const known = new WeakMap<Member, Traits>()
function traitsOf(member: Member): Traits {
  const before = known.get(member)
  if (before !== undefined) return before
  const { operator, country, network } = member
  const nets = [...new Set([...member.web.map(netOf), ...(network === null ? [] : [network])])]
  const traits = { operator, nets, country }
  known.set(member, traits)
  return traits
}

/** The same for spokes that are alike for every wish. */
export const kindOf = (member: Member): string => {
  const { operator, nets, country } = traitsOf(member)
  return JSON.stringify([operator, nets, country])
}

function netOf(url: string): string {
  const host = new URL(url).hostname
  return host.startsWith('[')
    ? host.slice(1, -1).split(':').slice(0, 3).join(':')
    : host.split('.').slice(0, 2).join('.')
}

/** What a set of copies has taken already: operators, networks, countries. */
export class Taken {
  readonly #operators = new Set<string>()
  readonly #nets = new Set<string>()
  readonly #countries = new Set<string>()

  constructor(members: readonly Member[]) {
    for (const member of members) this.add(member)
  }

  add(member: Member): void {
    const { operator, nets, country } = traitsOf(member)
    this.#operators.add(operator)
    for (const net of nets) this.#nets.add(net)
    if (country !== null) this.#countries.add(country)
  }

  /** The wishes against which one more member would be. */
  against(member: Member): Wish[] {
    return wishes.filter((wish) => this.#has(wish, traitsOf(member)))
  }

  cost(member: Member): number {
    const traits = traitsOf(member)
    let sum = 0
    for (const wish of wishes) if (this.#has(wish, traits)) sum += weights[wish]
    return sum
  }

  #has(wish: Wish, { operator, nets, country }: Traits): boolean {
    if (wish === 'operator') return this.#operators.has(operator)
    if (wish === 'country') return country !== null && this.#countries.has(country)
    return nets.some((net) => this.#nets.has(net))
  }
}

/** How far a set is from all different operators, networks and countries, in this order of weight; 0: it is. */
export function costOf(members: readonly Member[]): number {
  const taken = new Taken([])
  let sum = 0
  for (const member of members) {
    sum += taken.cost(member)
    taken.add(member)
  }
  return sum
}

/** The wishes that a set does not meet, in words for its act; null when it meets all. */
export function unmetOf(members: readonly Member[]): string | null {
  const taken = new Taken([])
  const unmet = new Set<Wish>()
  for (const member of members) {
    for (const wish of taken.against(member)) unmet.add(wish)
    taken.add(member)
  }
  return unmet.size === 0
    ? null
    : `not all different: ${wishes.filter((wish) => unmet.has(wish)).join(', ')}`
}

/** No `n` of these cost less: there are not more different operators, networks and countries than these. */
export function leastCost(members: readonly Member[], n: number): number {
  const values = {
    operator: new Set<string>(),
    network: new Set<string>(),
    country: new Set<string>(),
  }
  const unsaid = { operator: 0, network: 0, country: 0 }
  for (const member of members) {
    const { operator, nets, country } = traitsOf(member)
    values.operator.add(operator)
    for (const net of nets) values.network.add(net)
    if (nets.length === 0) unsaid.network++
    if (country === null) unsaid.country++
    else values.country.add(country)
  }
  return wishes.reduce(
    (sum, wish) => sum + weights[wish] * Math.max(0, n - values[wish].size - unsaid[wish]),
    0,
  )
}
