import type { z } from 'zod'
import { CommandError } from '../blogger/failure.ts'
import { type CommandIo, plainLine } from '../blogger/io.ts'
import { sentenceOfPort } from '../page-port.ts'
import { decidedAnswer, type ShownWaiting, waitingAnswer } from './admin-answers.ts'
import { AdminClient } from './admin-client.ts'

export type AdmitOptions = {
  readonly config: string
  readonly refuse?: boolean
  readonly reason?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** `admit [peer]`: lists who waits, or lets one in, or refuses it. */
export async function admit(
  which: string | undefined,
  options: AdmitOptions,
  io: CommandIo,
): Promise<void> {
  checkUse(which, options)
  const peer = await AdminClient.open(options.config, io.env)
  if (which === undefined) return list(await peer.get('/waiting', waitingAnswer), options, io)
  const dryRun = options.dryRun === true
  if (options.refuse) {
    const body = { which, reason: options.reason, dryRun }
    const refused = await peer.post('/refuse', body, decidedAnswer)
    if (options.json) io.data(JSON.stringify(refused))
    else {
      io.say(`${refused.done ? 'refused' : 'would refuse'} ${refused.name} (${refused.peer})`)
      io.say(`it is told: ${options.reason}`)
    }
    return
  }
  const admitted = await peer.post('/admit', { which, dryRun }, decidedAnswer)
  if (options.json) return io.data(JSON.stringify(admitted))
  io.say(`${admitted.done ? 'admitted' : 'would admit'} ${admitted.name} (${admitted.peer})`)
  for (const url of admitted.web) io.say(`  answers     ${url}`)
  for (const url of admitted.notReached) {
    io.say(`  no answer   ${url}: enters DNS as soon as it answers`)
  }
  if (admitted.otherPort != null)
    io.say(`  port        ${sentenceOfPort(admitted.name, admitted.otherPort)}`)
}

function checkUse(which: string | undefined, { refuse, reason, dryRun }: AdmitOptions): void {
  if (which === undefined && (refuse || reason !== undefined || dryRun)) {
    throw new CommandError('usage', 'Say which peer, by name or peer id.')
  }
  if (refuse && reason === undefined) {
    throw new CommandError('usage', 'Give a reason with --reason: the peer is told it.')
  }
  if (!refuse && reason !== undefined) {
    throw new CommandError('usage', '--reason goes with --refuse.')
  }
}

function list(
  { policy, waiting }: z.infer<typeof waitingAnswer>,
  { json }: AdmitOptions,
  io: CommandIo,
): void {
  if (json) {
    io.data(JSON.stringify({ policy, waiting }))
    return
  }
  const open = waiting.filter(({ refused }) => refused === null)
  for (const each of waiting) {
    for (const line of describe(each, io.now())) io.data(plainLine(line))
  }
  if (open.length > 0) {
    io.say('Admit one with: ./council admit <name or peer id>. Names and operators are what')
    io.say('each says of itself: compare the peer id with the one its operator sees at start.')
  } else if (policy === 'open') {
    io.say('Nobody waits: the policy is open, whoever asks is admitted.')
  } else io.say('Nobody waits.')
}

function describe(each: ShownWaiting, nowMs: number): string[] {
  const { name, operator, peer, network, country, host, via, refused } = each
  const since = refused === null ? each.since : refused.at
  const state =
    refused === null
      ? `asks since ${since}, ${ago(since, nowMs)}; last ${ago(each.asked, nowMs)}`
      : `refused ${since}, ${ago(since, nowMs)}: ${refused.reason}`
  const row = (label: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`  ${label.padEnd(10)} ${values.join(', ')}`]
  return [
    `${name}, run by ${operator}`,
    ...row('state', [state]),
    ...row('peer', [peer]),
    ...row('roles', each.roles),
    ...row('addresses', each.addresses),
    ...row('pages', each.web),
    ...row('dns', each.dns),
    ...row('network', network === null ? [] : [network]),
    ...row('country', country === null ? [] : [country]),
    ...row('asked from', [`${host ?? 'unknown'}${via === null ? '' : `, by way of ${via}`}`]),
  ]
}

/** `3 min ago`, in whole units. */
export function ago(instant: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(instant)) / 1_000))
  if (seconds < 120) return `${seconds} s ago`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h ago`
  return `${Math.floor(seconds / 86_400)} days ago`
}
