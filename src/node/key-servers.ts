import type { Fingerprint } from '../auth/public-key.ts'
import { type Revocation, revocationOf } from '../auth/revocation.ts'
import type { LogStore } from '../replication/log/store.ts'
import { reasonWord } from '../replication/registry/revoked-keys.ts'
import type { KeyServerWord } from '../web/spoke.ts'
import { type FetchedKey, fetchKey, type Resolve } from './fetch-key.ts'
import { wkdUrls } from './wkd.ts'

/** Keys whose last word is kept in memory; the one asked for longest ago makes room. */
const maxWords = 1_000
/** Keys asked about at once; each costs one request per server. */
const maxAsking = 16
/** How soon a key is asked about again, ms, however many log in, while its state is not settled. */
const askAgainMs = 60_000

/** What key servers said of a key; `revocation` is theirs, checked, when the key is revoked. */
export type Asked = {
  readonly word: KeyServerWord
  readonly revocation: Revocation | null
  /** whether they were asked just now */
  readonly isNew: boolean
}

/** What one server said. */
type Said =
  | { readonly kind: 'not-revoked' | 'not-known'; readonly server: string }
  | { readonly kind: 'failed'; readonly server: string; readonly reason: string }
  | { readonly kind: 'revoked'; readonly server: string; readonly revocation: Revocation }

/**
 * Asks the key servers of the config, and only these, whether a key is revoked (DESIGN 3.2): HKP,
 * and the key owner's Web Key Directory if that is switched on. Whatever they answer, only a
 * revocation that the key itself signed counts; all else leaves things as they are.
 */
export class KeyServers {
  readonly #servers: readonly string[]
  readonly #wkd: boolean
  readonly #fetch: (url: URL) => Promise<FetchedKey>
  readonly #store: Pick<LogStore, 'value' | 'putValue' | 'write'>
  readonly #isOurs: (key: Fingerprint) => Promise<boolean>
  readonly #now: () => number
  readonly #words = new Map<Fingerprint, KeyServerWord>()
  readonly #asking = new Map<Fingerprint, Promise<Asked>>()

  constructor(parts: {
    readonly servers: readonly string[]
    readonly wkd: boolean
    readonly allowPrivate: boolean
    readonly resolve?: Resolve
    readonly store: Pick<LogStore, 'value' | 'putValue' | 'write'>
    /** whether a blog here is written with the key: then the word outlives a restart */
    readonly isOurs: (key: Fingerprint) => Promise<boolean>
    readonly now: () => number
  }) {
    const { servers, wkd, allowPrivate, resolve } = parts
    this.#servers = servers
    this.#wkd = wkd
    this.#fetch = (url) =>
      fetchKey(url, { allowPrivate, ...(resolve === undefined ? {} : { resolve }) })
    this.#store = parts.store
    this.#isOurs = parts.isOurs
    this.#now = parts.now
  }

  /** Whether anybody is asked at all. */
  get isOn(): boolean {
    return this.#servers.length > 0 || this.#wkd
  }

  /** What was said last; null: nobody was asked yet. */
  async last(key: Fingerprint): Promise<KeyServerWord | null> {
    const stored = this.#words.get(key) ?? (await this.#store.value(`key-asked/${key}`))
    return (stored as KeyServerWord | undefined) ?? null
  }

  /**
   * @param gpgId - may hold the e-mail address by which WKD finds the key
   * @param maxAgeMs - an older word does not count any more
   */
  async ask(key: Fingerprint, gpgId: string | null, maxAgeMs: number): Promise<Asked> {
    const atMs = this.#now()
    if (!this.isOn) {
      const detail = 'This server asks no key servers.'
      return { word: { kind: 'none-configured', atMs, detail }, revocation: null, isNew: false }
    }
    const last = await this.last(key)
    if (last !== null) {
      // A revocation that the council does not know yet is looked for until it does.
      const isOpen = last.kind === 'unreachable' || last.kind === 'revoked'
      const goodForMs = isOpen ? Math.min(maxAgeMs, askAgainMs) : maxAgeMs
      if (atMs - last.atMs < goodForMs) return { word: last, revocation: null, isNew: false }
    }
    const running = this.#asking.get(key)
    if (running !== undefined) return running
    if (this.#asking.size >= maxAsking) {
      const detail = 'Too many keys are being asked about at this moment.'
      return { word: { kind: 'unreachable', atMs, detail }, revocation: null, isNew: false }
    }
    const run = this.#askAll(key, gpgId).finally(() => this.#asking.delete(key))
    this.#asking.set(key, run)
    return run
  }

  async #askAll(key: Fingerprint, gpgId: string | null): Promise<Asked> {
    const asked = this.#servers.map((server) => this.#askOne(key, server, [hkpUrl(server, key)]))
    const directory = this.#wkd && gpgId !== null ? wkdUrls(gpgId) : []
    const [first] = directory
    if (first !== undefined)
      asked.push(this.#askOne(key, `WKD of ${directory.at(-1)?.hostname}`, directory))
    const said = await Promise.all(asked)
    const { word, revocation } = weigh(said, this.#now())
    await this.#keep(key, word)
    return { word, revocation, isNew: true }
  }

  async #askOne(key: Fingerprint, server: string, urls: readonly URL[]): Promise<Said> {
    let said: Said = { kind: 'failed', server, reason: 'it was not asked' }
    for (const url of urls) {
      const fetched = await this.#fetch(url)
      if (fetched.kind === 'absent') said = { kind: 'not-known', server }
      else if (fetched.kind === 'failed') said = { kind: 'failed', server, reason: fetched.reason }
      else {
        const read = await revocationOf(key, fetched.bytes)
        if (!read.ok) said = { kind: 'failed', server, reason: 'it answers with something else' }
        else if (read.value === null) return { kind: 'not-revoked', server }
        else return { kind: 'revoked', server, revocation: read.value }
      }
    }
    return said
  }

  async #keep(key: Fingerprint, word: KeyServerWord): Promise<void> {
    this.#words.delete(key)
    this.#words.set(key, word)
    const [oldest] = this.#words.keys()
    if (this.#words.size > maxWords && oldest !== undefined) this.#words.delete(oldest)
    if (!(await this.#isOurs(key))) return
    const row = this.#store.putValue(`key-asked/${key}`, word)
    // Lost, or refused by the disk, it is asked for again: nobody must wait or fail for it.
    await this.#store.write([row], { sync: false }).catch(() => undefined)
  }
}

/** `hkps://host` stands for https, `hkp://host` for http on port 11371. */
export function hkpUrl(server: string, key: Fingerprint): URL {
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(server) ?? []
  const hasPort = /:[0-9]+$/.test(rest)
  const base =
    scheme === 'hkps'
      ? `https://${rest}`
      : scheme === 'hkp'
        ? `http://${rest}${hasPort ? '' : ':11371'}`
        : server
  return new URL(`/pks/lookup?op=get&options=mr&search=0x${key}`, base)
}

/**
 * What follows from all answers together. Pure. One checked revocation decides, whoever has it; a
 * server that does not know the key, or lies, is no evidence.
 */
export function weigh(
  said: readonly Said[],
  atMs: number,
): { readonly word: KeyServerWord; readonly revocation: Revocation | null } {
  const revoked = said.find((each) => each.kind === 'revoked')
  if (revoked !== undefined) {
    const { revocation, server } = revoked
    const { reason, isHard, dateMs } = revocation
    const day = new Date(dateMs).toISOString().slice(0, 10)
    const detail = `Revoked on ${day} (${reasonWord({ reason })}) by the key itself, as ${server} has it.`
    return { word: { kind: 'revoked', atMs, detail, reason, isHard, dateMs }, revocation }
  }
  const names = (kind: Said['kind']) =>
    said.filter((each) => each.kind === kind).map(({ server }) => server)
  const failures = said.flatMap((each) =>
    each.kind === 'failed' ? [`${each.server} could not be asked: ${each.reason}.`] : [],
  )
  const sentence = (words: string) => [words, ...failures].join(' ')
  const good = names('not-revoked')
  if (good.length > 0) {
    return plain('not-revoked', sentence(`Not revoked, as ${good.join(' and ')} has it.`), atMs)
  }
  const absent = names('not-known')
  if (absent.length > 0) {
    const words = `Not known to ${absent.join(' and ')}, which says nothing about the key.`
    return plain('not-known', sentence(words), atMs)
  }
  const words = failures.length > 0 ? failures.join(' ') : 'There was nobody to ask about this key.'
  return plain(failures.length > 0 ? 'unreachable' : 'not-known', words, atMs)
}

function plain(kind: 'not-revoked' | 'not-known' | 'unreachable', detail: string, atMs: number) {
  return { word: { kind, atMs, detail }, revocation: null }
}
