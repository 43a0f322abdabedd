import { accept } from '../../../src/auth/verdict.ts'
import type { Exchange } from '../../../src/replication/exchange/exchange.ts'
import type { Kept } from '../../../src/replication/exchange/replica.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import type { StoreId } from '../../../src/replication/log/peer-text.ts'
import { signReceipt } from '../../../src/replication/log/receipt.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import { holdersFor } from '../../../src/replication/registry/roster.ts'
import { signPromise } from '../../../src/replication/registry/seal.ts'
import type { CouncilPlan, Machine } from './council.ts'

/**
 * Rules of REPLICATION that a simulation can leave out at every peer, each by another object in the
 * place of a part, or of one answer of it. The product has no way to leave one out.
 */
const ways = {
  /** 2: disks of spokes say "synced" and are not. */
  sync: {
    tamper: ({ plan, disk }: Machine) => {
      disk.syncs = plan.roles.includes('authority')
    },
  },
  /** 3: the primary counts itself, and goes on, after its own promise. */
  own: {
    tamper: (_: Machine, { replicas }: Exchange) => {
      const isSealed = replicas.isSealed.bind(replicas)
      replicas.isSealed = (act) => replicas.get(act.blog)?.role !== 'primary' && isSealed(act)
    },
  },
  /** 7: nobody keeps the promise that it gave in its answer to a seal. */
  promise: {
    tamper: (_: Machine, { replicas }: Exchange) => {
      replicas.isSealed = () => false
    },
  },
  /** 1: a receipt for what a push ends with, whether all before it is held or not. */
  prefix: { tamper: giveForGaps },
  /** 9: a primary takes writes as soon as it leads. */
  active: {
    tamper: (_: Machine, { replicas }: Exchange) => {
      const write = replicas.write.bind(replicas)
      replicas.write = (kept, offer) => {
        const { receipts } = kept
        const isActive = receipts.isActive
        receipts.isActive = () => true
        // It is asked before anything is waited for.
        const written = write(kept, offer)
        receipts.isActive = isActive
        return written
      }
    },
  },
  /** 8: all heads that a seal is answered with count as of one epoch. */
  order: {
    tamper: ({ signer }: Machine, { replicas }: Exchange) => {
      const seal = replicas.seal.bind(replicas)
      replicas.seal = async (kept, order) => {
        const answer = await seal(kept, order)
        if (!answer.ok) return answer
        return { ok: true, value: signPromise(signer, { ...answer.value, follows: 1 }) }
      }
    },
  },
  /** Words: an emptied disk goes on under the name of the one before. */
  store: {
    storeIdOf: ({ name }: Machine) =>
      Buffer.from(name.padEnd(16, '0')).toString('hex').slice(0, 32) as StoreId,
  },
  /** 14: the authority asks nobody before it writes, and its acts count without the holders. */
  inForce: { tamper: forgeHolders },
  /** 14: holders go on giving receipts to a run of the authority after a later one has begun. */
  fence: {
    tamper: (_: Machine, { council }: Exchange) => {
      council.holding.enter = async () => accept(undefined)
    },
  },
} satisfies Record<string, Pick<CouncilPlan, 'tamper' | 'storeIdOf'>>

export type BrokenRule = keyof typeof ways
export const brokenRules = Object.keys(ways) as BrokenRule[]

/** Leaves a rule out; null: all are kept. */
export const tamperFor = (rule: BrokenRule | null): Pick<CouncilPlan, 'tamper' | 'storeIdOf'> =>
  rule === null ? {} : ways[rule]

function forgeHolders(_: Machine, { council, holders }: Exchange, machines: readonly Machine[]) {
  council.begin({ count: 1, id: '0'.repeat(32) })
  holders.askHold = async (peer, log, acts) => {
    const signer = machines.find((each) => each.signer.peer === peer)?.signer
    const roster = council.roster()
    if (signer === undefined || roster === null) return []
    return acts.flatMap(({ text }) => {
      const act = decodeAct(text)
      if (!act.ok) return []
      const { seq, id } = act.value
      return holdersFor(roster, act.value).flatMap((term) =>
        term.holders
          .filter((holder) => holder.peer === peer)
          .map((replica) => {
            const { council: name } = roster
            const under = { act: term.act, epoch: term.epoch, replica, sinceMs: 0, atMs: 0 }
            return signReceipt(signer, { council: name, log, head: { seq, id }, ...under }).signed
          }),
      )
    })
  }
}

function giveForGaps({ signer }: Machine, { replicas }: Exchange): void {
  const heads = new Map<Kept, Head>()
  const take = replicas.take.bind(replicas)
  const give = replicas.give.bind(replicas)
  replicas.take = async (kept, offers, how) => {
    const outcome = await take(kept, offers, how)
    if (outcome.kind !== 'gap' || how.way !== 'push' || replicas.isSealed(kept.assignment))
      return outcome
    heads.set(kept, how.head)
    return { kind: 'held', head: how.head, added: [] }
  }
  replicas.give = async (kept) => {
    const head = heads.get(kept)
    heads.delete(kept)
    if (head === undefined) return give(kept)
    const { council, blog, id, epoch } = kept.assignment
    return signReceipt(signer, {
      ...{ council, log: blog, head, act: id, epoch, replica: replicas.self() },
      ...{ sinceMs: 0, atMs: 0 },
    })
  }
}
