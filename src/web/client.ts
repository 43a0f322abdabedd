import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'

declare module 'hono' {
  interface ContextVariableMap {
    /** see `clientOf` */
    client: string
  }
}

/** What the server in front of the app says of the connection; absent in tests without one. */
export type Connection = { readonly remoteAddress?: string | undefined }

/** Proxies named one after the other in `X-Forwarded-For` that are looked at. */
const maxHops = 20

/**
 * Who asks, for limits: the client's IPv4 address, or the /64 of its IPv6 address, since whoever
 * has one address there has them all. `X-Forwarded-For` counts from trusted proxies only.
 */
export function clientOf(c: Context): string {
  return c.get('client') ?? 'unknown'
}

/** Finds out who asks, for `clientOf`. */
export function noteClient(isTrusted: (address: string) => boolean) {
  return createMiddleware<{ Bindings: Connection }>(async (c, next) => {
    const remote = c.env?.remoteAddress
    if (remote !== undefined) {
      const address = clientAddress(remote, c.req.header('x-forwarded-for'), isTrusted)
      c.set('client', groupOf(address))
    }
    return next()
  })
}

/**
 * The address of the client: that of the connection, unless a trusted proxy is there. Then the
 * last hop in `X-Forwarded-For` that is no trusted proxy, since each proxy appends whom it saw;
 * what stands further left is the client's own word. What is no address ends the search.
 */
export function clientAddress(
  remote: string,
  forwardedFor: string | undefined,
  isTrusted: (address: string) => boolean,
): string {
  let address = plainAddress(remote) ?? remote
  if (forwardedFor === undefined || !isTrusted(address)) return address
  for (const hop of forwardedFor.split(',').slice(-maxHops).reverse()) {
    const named = plainAddress(hop)
    if (named === null) break
    address = named
    if (!isTrusted(address)) break
  }
  return address
}

/** An IPv4 address as it is; of an IPv6 address the first 64 bits, `2001:db8:0:7::/64`. */
export function groupOf(address: string): string {
  if (!isIPv6(address)) return address
  const [left = '', right] = address.split('::')
  const groups = left === '' ? [] : left.split(':')
  if (right !== undefined) {
    const tail = right === '' ? [] : right.split(':')
    const bits = tail.length + (tail.at(-1)?.includes('.') ? 1 : 0)
    groups.push(...Array<string>(Math.max(0, 8 - groups.length - bits)).fill('0'), ...tail)
  }
  const first = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${first.join(':')}::/64`
}

/** An address without port, brackets and zone; IPv4 within IPv6 as IPv4. null for what is none. */
function plainAddress(hop: string): string | null {
  const text = hop.trim().toLowerCase()
  const [, bracketed] = /^\[([^\]]+)\](?::[0-9]{1,5})?$/.exec(text) ?? []
  const [, v4] = /^([0-9.]+):[0-9]{1,5}$/.exec(text) ?? []
  const address = (bracketed ?? v4 ?? text).replace(/%.*$/, '')
  const mapped = /^::ffff:([0-9.]+)$/.exec(address)?.[1]
  if (mapped !== undefined && isIPv4(mapped)) return mapped
  return isIP(address) === 0 ? null : address
}

/** An IP address, or a network like 10.0.0.0/8; null for anything else. */
export function parseNetwork(
  text: string,
): { readonly address: string; readonly prefix: number } | null {
  const [, address = '', bits] = /^([^/]+)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text) ?? []
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  const prefix = bits === undefined ? most : Number(bits)
  return most < 0 || prefix > most || address.includes('%') ? null : { address, prefix }
}

/** Whether an address is one of `web.trustedProxies`. */
export function trustedProxies(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const text of networks) {
    const network = parseNetwork(text)
    if (network === null) continue
    list.addSubnet(network.address, network.prefix, isIPv6(network.address) ? 'ipv6' : 'ipv4')
  }
  return (address) => {
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}
