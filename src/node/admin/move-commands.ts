import { showCount } from '../../web/plain-words.ts'
import { CommandError } from '../blogger/failure.ts'
import { type CommandIo, plainLine } from '../blogger/io.ts'
import {
  copiesAnswer,
  drainAnswer,
  moveAnswer,
  type ShownCopies,
  type ShownMove,
} from './admin-answers.ts'
import { AdminClient } from './admin-client.ts'
import { ago } from './admit.ts'

type Common = {
  readonly config: string
  readonly dryRun?: boolean
  readonly wait?: boolean
  /** seconds to wait at most */
  readonly timeout?: number
  readonly reason?: string
  readonly json?: boolean
}
export type PromoteOptions = Common & { readonly to?: string; readonly acceptLoss?: boolean }
export type DrainOptions = Common & { readonly undo?: boolean }

const pollEveryMs = 500

/** `copies <blog>`: what each replica has. */
export async function copies(blog: string, options: Common, io: CommandIo): Promise<void> {
  const peer = await AdminClient.open(options.config, io.env)
  const shown = await readCopies(peer, blog)
  if (options.json) return io.data(JSON.stringify(shown))
  for (const line of describe(shown, io.now())) io.data(plainLine(line))
}

const readCopies = (peer: AdminClient, blog: string) =>
  peer.get(`/copies/${encodeURIComponent(blog)}`, copiesAnswer)

/** `transfer <blog> <spoke>`: lets another spoke lead a blog. */
export async function transfer(
  blog: string,
  spoke: string,
  options: Common,
  io: CommandIo,
): Promise<void> {
  const peer = await AdminClient.open(options.config, io.env)
  const { reason = 'the operator of the zone moved it', dryRun = false } = options
  const asked = { blog, spoke, reason, dryRun }
  let move = await peer.post('/transfer', asked, moveAnswer)
  if (!options.json) sayMove(move, dryRun, io)
  const isLed = (now: ShownCopies) => leaderOf(now) === move.to && now.active
  if (options.wait && !dryRun) {
    await follow(peer, blog, isLed, options, io)
    move = await peer.post('/transfer', { ...asked, dryRun: true }, moveAnswer)
  }
  if (options.json) io.data(JSON.stringify(move))
}

/** `promote <blog>`: lets another of its replicas lead now. */
export async function promote(blog: string, options: PromoteOptions, io: CommandIo): Promise<void> {
  const { acceptLoss = false, dryRun = false, to = null } = options
  if (acceptLoss && options.reason === undefined) {
    throw new CommandError(
      'usage',
      'What is given up is given up for good, and in public: say why with --reason.',
    )
  }
  const peer = await AdminClient.open(options.config, io.env)
  const reason = options.reason ?? 'the operator of the zone promoted another replica'
  const asked = { blog, spoke: to, reason, acceptLoss, dryRun }
  const move = await peer.post('/promote', asked, moveAnswer)
  if (!options.json) sayMove(move, dryRun, io)
  if (options.wait && !dryRun) await follow(peer, blog, (now) => now.active, options, io)
  if (options.json) io.data(JSON.stringify(move))
}

/** `drain [spoke]`: moves everything away from a spoke, this one when none is named. */
export async function drain(
  spoke: string | undefined,
  options: DrainOptions,
  io: CommandIo,
): Promise<void> {
  const peer = await AdminClient.open(options.config, io.env)
  const { undo = false, dryRun = false, reason = 'its operator empties it' } = options
  const asked = { spoke: spoke ?? null, undo, reason, dryRun }
  let drained = await peer.post('/drain', asked, drainAnswer)
  const say = () =>
    io.say(
      `${drained.spoke}: ${showCount(drained.copies, 'copy', 'copies')} left, ${drained.leads} of them ${drained.leads === 1 ? 'leads' : 'lead'}`,
    )
  if (!options.json) {
    io.say(
      undo
        ? `${drained.spoke} ${dryRun ? 'would keep' : 'keeps'} copies again`
        : `${dryRun ? 'would drain' : 'draining'} ${drained.spoke}`,
    )
    if (!undo) say()
  }
  const endMs = io.now() + (options.timeout ?? defaultTimeout) * 1_000
  while (options.wait && !undo && !dryRun && drained.copies > 0) {
    if (io.now() >= endMs) throw late(options)
    await io.sleep(pollEveryMs)
    const before = drained.copies
    drained = await peer.post('/drain', asked, drainAnswer)
    if (drained.copies !== before && !options.json) say()
  }
  if (options.json) io.data(JSON.stringify(drained))
  else if (!undo && !dryRun && drained.copies === 0)
    io.say(`${drained.spoke} keeps nothing any more: it may stop`)
}

const defaultTimeout = 120

const late = ({ timeout = defaultTimeout }: Common) =>
  new CommandError(
    'notReady',
    `It is not done after ${timeout} s. It goes on by itself; run the same command again to go on waiting.`,
  )

const leaderOf = ({ replicas }: ShownCopies) =>
  replicas.find(({ role }) => role === 'primary')?.name ?? null

/** Says each step once, until it is done. */
async function follow(
  peer: AdminClient,
  blog: string,
  isDone: (now: ShownCopies) => boolean,
  options: Common,
  io: CommandIo,
): Promise<void> {
  const endMs = io.now() + (options.timeout ?? defaultTimeout) * 1_000
  let said = ''
  for (;;) {
    const now = await readCopies(peer, blog)
    const { epoch, waits } = now
    const words = `epoch ${epoch}, led by ${leaderOf(now)}, ${stateOf(now)}${waits === null ? '' : `; waits: ${waits.reason}`}`
    if (words !== said && !options.json) io.say(words)
    said = words
    if (isDone(now)) return
    if (io.now() >= endMs) throw late(options)
    await io.sleep(pollEveryMs)
  }
}

/** Whether it takes writes, in words. What is sealed takes none until the next act. */
function stateOf({ active, waits, replicas }: ShownCopies): string {
  if (waits !== null) return 'sealed'
  if (!active) return 'not active'
  const answers = replicas.find(({ role }) => role === 'primary')?.answers ?? false
  return answers ? 'takes writes' : 'its primary does not answer'
}

function sayMove(move: ShownMove, dryRun: boolean, io: CommandIo): void {
  const { blog, from, to, replicas, learners, isDone } = move
  if (isDone) {
    io.say(`${blog} is led by ${to}, and kept by ${replicas.join(', ')}`)
    return
  }
  const who = to ?? 'the replica that holds the most'
  io.say(`${dryRun ? 'would move' : 'moving'} ${blog} from ${from} to ${who}`)
  if (learners.length > 0) io.say(`  first copies  ${learners.join(', ')}`)
  io.say(`  kept by       ${replicas.join(', ')}`)
}

/** When a replica was heard last, and by whom. */
function heardWords(
  { answers, heard, heardBy, listened }: ShownCopies['replicas'][number],
  nowMs: number,
): string {
  if (answers) return 'heard now'
  if (heardBy === undefined && heard === null) return 'last heard: not known'
  if (heardBy === null) return 'last heard: not known, the authority does not answer'
  const by = heardBy === 'authority' ? ' by the authority' : ''
  return heard === null
    ? `not heard${by} since it began to listen, ${listened == null ? 'a while ago' : ago(listened, nowMs)}`
    : `last heard${by} ${ago(heard, nowMs)}`
}

function describe(shown: ShownCopies, nowMs: number): string[] {
  const { blog, epoch, reason, unmet, published, head, replicas, waits } = shown
  const up = published < 0 ? 'nothing published' : `published up to ${published}`
  return [
    `${blog}, epoch ${epoch}: ${stateOf(shown)}, head ${head ?? 'not known'}, ${up}`,
    `  why        ${reason}`,
    ...(unmet === null ? [] : [`  unmet      ${unmet}`]),
    ...(waits === null ? [] : [`  waits      since ${waits.since}: ${waits.reason}`]),
    ...replicas.map((each) => {
      const words = [
        each.role,
        each.answers ? `epoch ${each.epoch ?? 'none'}` : 'does not answer',
        each.head === null ? 'no receipt under this act' : `head ${each.head}, lag ${each.lag}`,
        heardWords(each, nowMs),
        each.away ? 'out of DNS' : null,
        each.cutOff ? 'cut off' : null,
      ]
      return `  ${each.name.padEnd(10)} ${words.filter((word) => word !== null).join(', ')}`
    }),
  ]
}
