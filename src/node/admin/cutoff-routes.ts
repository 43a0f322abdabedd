import type { Hono } from 'hono'
import type { CutOff, CutOffs } from '../authority/cutoffs.ts'
import type { ReportDesk } from '../authority/reports.ts'
import { cutOffRequest } from './admin-answers.ts'
import { notTheAuthority, order, shown } from './admin-route.ts'

/** What `cutoff` and `reinstate` need of the running peer. */
export type CuttingOff = {
  /** null at peers without the section `authority` */
  readonly cutOffs: CutOffs | null
  readonly reports: Pick<ReportDesk, 'counts'> | null
}

/** What `cutoff` and `reinstate` ask of the authority. Code NOT_THE_AUTHORITY elsewhere. */
export function cutOffRoutes(app: Hono, { cutOffs }: CuttingOff): void {
  for (const kind of ['cutoff', 'reinstate'] as const) {
    order(app, `/${kind}`, cutOffRequest, async ({ which, reason, evidence, dryRun }) =>
      cutOffs === null
        ? notTheAuthority
        : shown(await cutOffs.decide(which, { kind, reason, evidence }, dryRun), show),
    )
  }
}

const show = ({ member, seq, blogs }: CutOff) => ({
  name: member.name,
  peer: member.peer,
  operator: member.operator,
  done: seq !== null,
  act: seq,
  blogs: { ...blogs, only: [...blogs.only] },
})
