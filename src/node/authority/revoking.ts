import { type Revocation, readRevocation, revokerOf } from '../../auth/revocation.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogKey, keysOfLog } from '../../replication/exchange/blog-keys.ts'
import type { Revoke } from '../../replication/exchange/decisions.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { type BlogName, parseBlogName } from '../../replication/log/entry.ts'
import { namesLog } from '../../replication/log/log.ts'
import type { Names } from '../../replication/registry/names.ts'
import { type ProofRow, proofRow } from '../../replication/registry/proof.ts'
import type { ComponentLog } from '../logger.ts'
import { noNames } from './refusals.ts'

/** Blogs whose logs are fetched at once to look for a key; they come from whoever names one. */
const maxOpening = 4

/**
 * The authority's word on revocations: which become an act in `@names`. Only keys that a blog is or
 * was written with, or its recovery key, so that a flood of strangers' keys never makes the log
 * grow: it holds at most two acts per key.
 */
export class RevocationDesk {
  readonly #exchange: Pick<Exchange, 'council' | 'reader' | 'tell'>
  readonly #log: ComponentLog
  #opening = 0

  constructor(exchange: Pick<Exchange, 'council' | 'reader' | 'tell'>, log: ComponentLog) {
    this.#exchange = exchange
    this.#log = log
  }

  /**
   * Writes the act, or gives the one that says the same already.
   * Codes: NOT_READY, REVOCATION_KEY_UNKNOWN, BLOG_UNREACHABLE (the log that may hold the key cannot
   * be had now), ACT_NOT_IN_FORCE, and those of `readRevocation`.
   */
  async decide(asked: Revoke): Promise<Verdict<ProofRow>> {
    const { council } = this.#exchange
    const names = council.names()
    const roster = council.roster()
    if (names === null || roster === null) return noNames
    const read = await this.#read(asked, names)
    if (!read.ok) return read
    const { revocation, blog } = read.value
    const known = await this.#given(revocation)
    if (known !== null) return accept(known)
    let refusal: Refusal | null = null
    const written = await council.write(namesLog, roster.council, () => {
      const fits = (council.names() as Names).revoked.check(revocation)
      if (!fits.ok) refusal = fits
      const { key, certificate } = revocation
      return fits.ok ? { kind: 'revoke', key, certificate } : null
    })
    if (!written.ok) return written
    if (written.value === null) {
      const given = await this.#given(revocation)
      return given === null ? (refusal as unknown as Refusal) : accept(given)
    }
    const { act, proof } = written.value
    this.#log.info('revoke', { key: revocation.key, reason: revocation.reason, seq: act.seq })
    // So that its primary refuses the key when whoever handed this in reads the answer.
    const now = council.names() as Names
    const blogs = new Set([blog, ...(now.byKey.get(revocation.key) ?? [])])
    const replicas = [...blogs].flatMap((each) => now.blogs.get(each)?.replicas ?? [])
    await this.#exchange.tell(
      namesLog,
      proof,
      replicas.map(({ peer }) => peer),
    )
    return accept(proofRow(proof))
  }

  /** The act that says at least as much of the key, when there is one. */
  async #given({ key, isHard }: Revocation): Promise<ProofRow | null> {
    const { council } = this.#exchange
    const known = council.names()?.revoked.of(key) ?? null
    if (known === null || (isHard && !known.isHard)) return null
    const proof = await council.proof(namesLog, known.seq)
    return proof === null ? null : proofRow(proof)
  }

  /** The revocation, and a blog that its key belongs to. */
  async #read(
    { certificate, blog }: Revoke,
    names: Names,
  ): Promise<Verdict<{ revocation: Revocation; blog: BlogName }>> {
    const revoker = revokerOf(certificate)
    const own = revoker === null ? await readRevocation(certificate) : null
    if (own?.ok === false) return own
    const id = own?.ok ? own.value.key : (revoker?.fingerprint ?? revoker?.keyId ?? '')
    const writer = writtenWith(names, id)
    if (own?.ok && writer !== null) return accept({ revocation: own.value, blog: writer })
    for (const name of new Set([writer, parseBlogName(blog ?? '')])) {
      if (name === null || id === '' || !names.blogs.has(name)) continue
      const keys = await this.#keysOf(name)
      if (keys === null) {
        return refuse(
          'BLOG_UNREACHABLE',
          `Whether ${name} is written with this key cannot be found out now: its servers do not answer. Try again in a minute.`,
        )
      }
      const key = keys.find(({ fingerprint }) => fingerprint.endsWith(id))
      if (key === undefined) continue
      const read = own ?? (await readRevocation(certificate, [key.block]))
      return read.ok ? accept({ revocation: read.value, blog: name }) : read
    }
    return refuse(
      'REVOCATION_KEY_UNKNOWN',
      'No blog of this council is known to be or to have been written with this key, so there is nothing to revoke here. If one is, hand the revocation in at the address of that blog.',
    )
  }

  /** Null when its log cannot be had now. */
  async #keysOf(blog: BlogName): Promise<readonly BlogKey[] | null> {
    if (this.#opening >= maxOpening) return null
    this.#opening++
    try {
      const visit = await this.#exchange.reader.open(blog)
      return typeof visit === 'string' ? null : await keysOfLog(blog, visit)
    } finally {
      this.#opening--
    }
  }
}

/** @param id - fingerprint, or long key id of a bare certificate of an old gpg */
function writtenWith(names: Names, id: string): BlogName | null {
  if (id.length === 40) return names.writtenWith.get(id) ?? null
  for (const [key, blog] of names.writtenWith) if (id.length === 16 && key.endsWith(id)) return blog
  return null
}
