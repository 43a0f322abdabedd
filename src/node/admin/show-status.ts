import { z } from 'zod'
import { showCount } from '../../web/plain-words.ts'
import { type CommandIo, plainLine } from '../blogger/io.ts'
import { sentenceOfPort } from '../page-port.ts'
import { AdminClient } from './admin-client.ts'

export type StatusOptions = { readonly config: string; readonly json?: boolean }

const head = z.looseObject({ seq: z.number() }).nullable()
/** What the command shows of the peer's status; `--json` gives all of it. */
const statusAnswer = z.looseObject({
  name: z.string(),
  peer: z.string(),
  council: z.string().nullable(),
  member: z.boolean(),
  /** what a newcomer waits for */
  pending: z.string().nullable(),
  logs: z.record(z.string(), head),
  members: z.array(
    z.looseObject({
      name: z.string(),
      roles: z.array(z.string()),
      away: z.boolean(),
      cutOff: z.boolean(),
      connected: z.boolean(),
      heard: z.boolean().optional(),
      /** left out by a peer of an earlier version */
      otherPort: z.object({ own: z.array(z.number()), readers: z.array(z.number()) }).nullish(),
    }),
  ),
  blogs: z.array(
    z.looseObject({
      blog: z.string(),
      role: z.string(),
      head,
      active: z.boolean(),
      published: z.number(),
      replicas: z.number(),
    }),
  ),
  /** left out by a peer of an earlier version */
  scrub: z
    .looseObject({
      now: z.array(z.object({ log: z.string(), seqs: z.array(z.number()) })),
      damaged: z.number(),
      healed: z.number(),
    })
    .optional(),
  /** at the authority only */
  authority: z
    .object({
      ...{ policy: z.string(), waiting: z.number(), invitations: z.number() },
      reports: z
        .array(
          z.looseObject({
            ...{ name: z.string(), reports: z.number(), by: z.number() },
            ...{ proofs: z.number().default(0), words: z.number().default(0) },
          }),
        )
        .default([]),
    })
    .optional(),
})

/** `status`: how the peer of a council.json is doing, with whom it is connected, what it keeps. */
export async function showStatus(options: StatusOptions, io: CommandIo): Promise<void> {
  const peer = await AdminClient.open(options.config, io.env)
  const status = await peer.get('/status', statusAnswer)
  if (options.json) return io.data(JSON.stringify(status))
  for (const line of describe(status)) io.data(plainLine(line))
}

function describe(status: z.infer<typeof statusAnswer>): string[] {
  const { name, peer, council, member, pending, logs, members, blogs, authority, scrub } = status
  const state = member ? 'member' : (pending ?? 'not admitted yet')
  return [
    `${name} ${peer}`,
    `  council    ${council ?? 'not known yet'}`,
    `  state      ${state}`,
    `  logs       ${Object.entries(logs)
      .map(([log, at]) => `${log} ${at === null ? 'none' : at.seq}`)
      .join(', ')}`,
    ...(authority === undefined
      ? []
      : [
          `  authority  policy ${authority.policy}, ${authority.waiting} waiting, ${authority.invitations} invitations to use`,
        ]),
    ...(authority?.reports ?? []).map((each) => `  REPORTED   ${describeReports(each)}`),
    ...members.map(
      (each) => `  peer       ${each.name} (${each.roles.join(', ')}): ${stateOf(each)}`,
    ),
    ...members.flatMap(({ name, cutOff, otherPort }) =>
      cutOff || otherPort == null ? [] : [`  PORT       ${sentenceOfPort(name, otherPort)}`],
    ),
    ...(scrub === undefined || scrub.damaged === 0
      ? []
      : [`  disk       ${scrub.damaged} entries found damaged, ${scrub.healed} healed`]),
    ...(scrub?.now ?? []).map(
      ({ log, seqs }) => `  DAMAGED    ${log}: ${seqs.slice(0, 20).join(', ')}`,
    ),
    ...blogs.map(
      (each) =>
        `  blog       ${each.blog}: ${each.role}, seq ${each.head?.seq ?? 'none'}, ${each.published < 0 ? 'nothing published' : `published up to ${each.published}`}, ${showCount(each.replicas, 'copy', 'copies')}${each.active ? '' : ', not active'}`,
    ),
  ]
}

/** A report without proof says that something came wrong or late, and no more. */
function describeReports(about: {
  name: string
  reports: number
  by: number
  proofs: number
  words: number
}): string {
  const { name, reports, by, proofs, words } = about
  const worth = [
    proofs > 0 ? `${showCount(proofs, 'proof')}` : null,
    reports > proofs + words ? `${reports - proofs - words} checked` : null,
    words > 0 ? `${words} of word alone, which a busy server may earn too` : null,
  ]
  const detail = worth.filter((word) => word !== null).join(', ')
  return `${name}: ${showCount(reports, 'report')} by ${showCount(by, 'peer')}: ${detail}`
}

function stateOf(member: z.infer<typeof statusAnswer>['members'][number]): string {
  const words = [
    member.cutOff ? 'cut off' : null,
    member.away ? 'out of DNS' : null,
    member.connected ? 'connected' : 'not connected',
    member.heard === false ? 'not heard lately' : null,
  ]
  return words.filter((word) => word !== null).join(', ')
}
