import type { CouncilPlan, Machine } from './council.ts'

/** Rules of REPLICATION that a simulation can leave out. */
export const brokenRules = ['sync'] as const
export type BrokenRule = (typeof brokenRules)[number]

type Tampered = Pick<CouncilPlan, 'tamper' | 'storeIdOf'> & Disposable

/** Leaves a rule out at every peer, until disposed; null: all are kept. */
export function tamperFor(rule: BrokenRule | null): Tampered {
  const nothing = { [Symbol.dispose]: () => undefined }
  switch (rule) {
    case null:
      return nothing
    case 'sync':
      return {
        ...nothing,
        tamper: ({ plan, disk }: Machine) => {
          disk.syncs = plan.roles.includes('authority')
        },
      }
  }
}
