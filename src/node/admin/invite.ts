import { CommandError } from '../blogger/failure.ts'
import { type CommandIo, plainLine } from '../blogger/io.ts'
import {
  invitationsAnswer,
  invitedAnswer,
  revokedAnswer,
  type ShownInvitation,
} from './admin-answers.ts'
import { AdminClient } from './admin-client.ts'

export type InviteOptions = {
  readonly config: string
  readonly uses?: number
  readonly hours?: number
  readonly note?: string
  readonly list?: boolean
  readonly revoke?: string
  readonly json?: boolean
}

/** `invite`: makes an invitation and prints the line to join with; lists and revokes them. */
export async function invite(options: InviteOptions, io: CommandIo): Promise<void> {
  const { uses, hours, note, list, revoke } = options
  const makes = uses !== undefined || hours !== undefined || note !== undefined
  if ([makes, list === true, revoke !== undefined].filter(Boolean).length > 1) {
    throw new CommandError(
      'usage',
      'Either make an invitation (--uses, --hours, --note), or --list, or --revoke.',
    )
  }
  const peer = await AdminClient.open(options.config, io.env)
  if (list) return showAll(peer, options, io)
  if (revoke !== undefined) {
    const revoked = await peer.post('/revoke', { id: revoke }, revokedAnswer)
    if (options.json) return io.data(JSON.stringify(revoked))
    return io.say(`revoked ${describe(revoked.invitation)}`)
  }
  const terms = { uses: uses ?? 1, hours: hours ?? 72, note: note ?? null }
  const { policy, invitation, bootstrap } = await peer.post('/invite', terms, invitedAnswer)
  if (options.json) return io.data(JSON.stringify({ policy, ...invitation, bootstrap }))
  io.data(`./council init --join '${bootstrap}' --name <label>`)
  io.say(`${describe(invitation)}. Whoever has this line may use it: send it to nobody else.`)
  if (policy === 'open') io.say('The policy is open: whoever asks is admitted without it, too.')
}

async function showAll(peer: AdminClient, options: InviteOptions, io: CommandIo): Promise<void> {
  const answer = await peer.get('/invitations', invitationsAnswer)
  if (options.json) return io.data(JSON.stringify(answer))
  for (const each of answer.invitations) {
    io.data(plainLine(describe(each)))
    for (const { peer: user, name, at } of each.usedBy) {
      io.data(plainLine(`  used by ${name ?? user}, ${at}`))
    }
  }
  if (answer.invitations.length === 0) io.say('There are no invitations.')
}

function describe({ id, note, expires, uses, usedBy, state }: ShownInvitation): string {
  const forWhom = note === null ? '' : ` (${note})`
  return `${id}${forWhom}: ${state}, used ${usedBy.length} of ${uses}, until ${expires}`
}
