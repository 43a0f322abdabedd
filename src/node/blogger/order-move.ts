import type { PeerName } from '../../auth/peer-signature.ts'
import { KeyRing } from '../../auth/public-key.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import { decodeReceipt, majority } from '../../replication/log/receipt.ts'
import type { EntryId } from '../../replication/log/text.ts'
import { decodeAct } from '../../replication/registry/act.ts'
import { encodeOrder, type MoveOrder, verifyOrder } from '../../replication/registry/order.ts'
import { sentenceOfMove } from '../../web/move-words.ts'
import { type LogAnswer, membersAnswer, moveAnswer } from './answers.ts'
import { openKey, orRefused, submission } from './author-key.ts'
import { BlogLog } from './blog-log.ts'
import { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import { Gpg } from './gpg.ts'
import { type CommandIo, plainLine } from './io.ts'

export type OrderOptions = {
  readonly at: string
  readonly key: string
  readonly dryRun?: boolean
  readonly wait?: boolean
  /** seconds to wait at most */
  readonly timeout: number
  readonly json?: boolean
}

const pollEveryMs = 500

/**
 * `transfer <blog> <spoke> --signed`: the blogger's own order that another spoke leads her blog. It
 * shows the text, lets gpg sign it, and hands it in at any spoke.
 */
export async function orderMove(
  name: string,
  spoke: string,
  options: OrderOptions,
  io: CommandIo,
): Promise<void> {
  const client = new SpokeClient(options.at)
  const gpg = new Gpg(io.env)
  const key = await openKey(gpg, new KeyRing(), options.key, io.now())
  const blog = await BlogLog.open(client, name, io.env)
  const log = await blog.read()
  if (log.key !== key.publicKey.fingerprint) {
    throw new CommandError(
      'refused',
      `${name} is written with the key ${log.key}, not with ${key.publicKey.fingerprint}. Give that key with --key.`,
    )
  }
  const standing = standingOf(log)
  const members = await readMembers(client)
  const member = findSpoke(members, spoke)
  const order = orRefused(
    encodeOrder({
      ...{ council: blog.council, blog: name as BlogName, act: standing.act },
      ...{ epoch: standing.epoch, primary: member.peer as PeerName, spoke: member.name },
      ...{ dateMs: io.now(), key: key.publicKey.fingerprint },
    }),
  )
  io.say(`${options.dryRun ? 'you would sign' : 'you sign'}:\n`)
  for (const line of Buffer.from(order.text).toString().split('\n')) io.say(plainLine(`  ${line}`))
  io.say('')
  if (options.dryRun) return
  const armored = await gpg.detachSign(key.own, order.text)
  const { armored: signature } = orRefused(await verifyOrder(order, armored, key.publicKey))
  const post = submission({ entry: order, signature })
  const move = client.read(await client.ask({ path: '/order', post }), moveAnswer)
  if (!options.json) io.say(plainLine(sentenceOfMove(move)))
  const epoch = options.wait ? await follow(blog, order, members, options, io) : move.epoch
  if (options.json) io.data(JSON.stringify({ ...move, epoch }))
}

type Members = readonly { readonly peer: string; readonly name: string }[]

/** Spokes as the council's servers call them; the authority holds name and id against `@roster`. */
async function readMembers(client: SpokeClient): Promise<Members> {
  return client.read(await client.ask({ path: '/_council/status' }), membersAnswer).members
}

function findSpoke(members: Members, which: string) {
  const found = members.find(({ name, peer }) => name === which || peer === which)
  if (found !== undefined) return found
  const names = members.map(({ name }) => name).join(', ')
  throw new CommandError(
    'usage',
    plainLine(`No server of this council is called "${which}". There are: ${names}.`),
  )
}

type Standing = {
  readonly act: EntryId
  readonly epoch: number
  readonly primary: string
  /** whether it takes writes: enough replicas have given receipts under this act */
  readonly isActive: boolean
}

/** Which act is in force, as the spoke shows it. */
function standingOf(log: LogAnswer): Standing {
  const act = log.act === null ? null : decodeAct(log.act.text)
  if (!act?.ok || act.value.decision.kind !== 'assign') {
    throw new CommandError(
      'notReady',
      `The spoke does not say now who leads ${log.blog}. Try again in a minute.`,
    )
  }
  const { id, decision } = act.value
  const given = log.receipts.map(decodeReceipt).filter((each) => each.ok && each.value.act === id)
  const n = decision.replicas.length
  const isActive = given.length >= (n === 1 ? 1 : majority(n))
  return { act: id, epoch: decision.epoch, primary: decision.primary, isActive }
}

/** Says each step once, until the spoke that was ordered leads. @returns the epoch then */
async function follow(
  blog: BlogLog,
  { epoch, primary, spoke }: MoveOrder,
  members: Members,
  { timeout, json }: OrderOptions,
  io: CommandIo,
): Promise<number> {
  const endMs = io.now() + timeout * 1_000
  const nameOf = (peer: string) => members.find((each) => each.peer === peer)?.name ?? peer
  let said = ''
  for (;;) {
    const now = await look(blog, io.now() < endMs)
    const isLed = now?.primary === primary
    const words =
      now === null
        ? 'the spoke does not answer now'
        : `epoch ${now.epoch}, led by ${nameOf(now.primary)}, ${now.isActive ? 'takes writes' : 'not active yet'}`
    if (words !== said && !json) io.say(words)
    said = words
    if (now !== null && isLed && now.epoch >= epoch && now.isActive) return now.epoch
    if (io.now() >= endMs) {
      throw new CommandError(
        'notReady',
        `It is not done after ${timeout} s. It goes on by itself; ${spoke} copies the blog first, if it has no copy.`,
      )
    }
    await io.sleep(pollEveryMs)
  }
}

/** Null when it cannot be said for the moment: the spoke may be the one that the blog moves from. */
async function look(blog: BlogLog, mayFail: boolean): Promise<Standing | null> {
  try {
    return standingOf(await blog.read())
  } catch (error) {
    const passes =
      error instanceof CommandError && (error.exit === 'unreachable' || error.exit === 'notReady')
    if (mayFail && passes) return null
    throw error
  }
}
