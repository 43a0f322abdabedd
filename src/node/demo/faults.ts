import { setTimeout as wait } from 'node:timers/promises'
import type { Act } from '../../replication/registry/act.ts'
import { AdminClient } from '../admin/admin-client.ts'
import { CommandError } from '../blogger/failure.ts'
import type { CommandIo } from '../blogger/io.ts'
import {
  type DemoAnswer,
  demoAnswer,
  demoSocketPath,
  faultAnswer,
  noteAnswer,
  type ShownPeer,
  tailAnswer,
} from './control.ts'
import { type Copy, Observer } from './observer.ts'
import { defaultPort } from './plan.ts'
import { Timeline } from './timeline.ts'

export type FaultOptions = {
  readonly port: number
  readonly json?: boolean
  readonly dryRun?: boolean
}

/** How long beyond the silence the council may take until all is well, ms. */
const patienceMs = 60_000
const lookMs = 200

/** A running demo and what it says of itself. Throws `unreachable` when none runs on that port. */
export async function findDemo(
  port: number,
  io: CommandIo,
): Promise<{ readonly control: AdminClient; readonly demo: DemoAnswer }> {
  const option = port === defaultPort ? '' : ` --port ${port}`
  const control = AdminClient.at(demoSocketPath(io.env, port), {
    ...{ name: 'demo', start: `./council demo${option}` },
  })
  return { control, demo: await control.get('/demo', demoAnswer) }
}

/** `demo kill <peer>`: kill -9, and what the council makes of it. */
export async function demoKill(peer: string, options: FaultOptions, io: CommandIo): Promise<void> {
  await new Fault('kill', peer, options, io).run()
}

/** `demo partition <peer>`: cut off from all other peers, both ways; readers still reach it. */
export async function demoPartition(
  peer: string,
  options: FaultOptions,
  io: CommandIo,
): Promise<void> {
  await new Fault('partition', peer, options, io).run()
}

/** A fault from the moment at which it is done until the council is well without the victim. */
class Fault {
  readonly #kind: 'kill' | 'partition'
  readonly #name: string
  readonly #options: FaultOptions
  readonly #io: CommandIo
  readonly #timeline: Timeline
  /** names the note that is published meanwhile: asked for again it is the same one */
  readonly #beginMs: number
  #tries = 0

  constructor(kind: 'kill' | 'partition', name: string, options: FaultOptions, io: CommandIo) {
    this.#kind = kind
    this.#name = name
    this.#options = options
    this.#io = io
    this.#timeline = new Timeline(io)
    this.#beginMs = io.now()
  }

  async run(): Promise<void> {
    const { control, demo } = await findDemo(this.#options.port, this.#io)
    const victim = demo.peers.find(({ name }) => name === this.#name)
    const observer = new Observer(demo)
    await observer.begin()
    const copies = await observer.copies()
    const led = copies.filter(({ role, spoke }) => role === 'primary' && spoke.name === this.#name)
    if (this.#options.dryRun === true) return this.#plan(demo, victim, copies, led)

    const timeline = this.#timeline
    const { peer } = await control.post(`/${this.#kind}`, { peer: this.#name }, faultAnswer)
    const lead = led.map(({ blog }) => blog).join(', ')
    const title = peer.isAuthority ? 'the authority' : `spoke ${peer.name}`
    const what =
      this.#kind === 'kill'
        ? `${title}: kill -9 of process ${peer.pid}`
        : `${title} is cut off from all other peers; readers still reach it`
    timeline.add(this.#kind, `${what}${lead === '' ? '' : `; it leads ${lead}`}`)
    const work = { control, demo, observer, peer, copies, led }
    if (peer.isAuthority) await this.#withoutAuthority(work)
    else await this.#withoutSpoke(work)
    const back = `until: ./council demo heal${this.#options.port === defaultPort ? '' : ` --port ${this.#options.port}`}`
    const state = this.#kind === 'kill' ? 'stays down' : 'stays cut off'
    this.#io.say(`All is well again after ${timeline.seconds} s. ${title} ${state} ${back}`)
    if (this.#options.json === true) {
      this.#io.data(
        JSON.stringify({
          ...{ fault: this.#kind, peer: peer.name, wellAfter: timeline.seconds },
          steps: timeline.steps,
        }),
      )
    }
  }

  #plan(
    demo: DemoAnswer,
    victim: ShownPeer | undefined,
    copies: readonly Copy[],
    led: readonly Copy[],
  ): void {
    if (victim === undefined) {
      const names = demo.peers.map(({ name }) => name).join(', ')
      throw new CommandError('usage', `The demo has no peer "${this.#name}". It has ${names}.`)
    }
    const kept = copies.filter(({ spoke }) => spoke.name === this.#name).map(({ blog }) => blog)
    const stuck = led.filter((copy) => !canMove(copy, copies, this.#name))
    const plan = {
      ...{ fault: this.#kind, peer: victim.name, state: victim.state, done: false },
      ...{ leads: led.map(({ blog }) => blog), keeps: kept },
      ...{ moves: led.filter((copy) => !stuck.includes(copy)).map(({ blog }) => blog) },
    }
    this.#io.say(
      `would ${this.#kind === 'kill' ? `kill -9 ${victim.pid}` : 'cut off'} ${victim.name}, which is ${victim.state}, leads ${plan.leads.join(', ') || 'no blog'} and keeps ${kept.join(', ') || 'none'}`,
    )
    for (const { blog } of stuck)
      this.#io.say(`${blog} would wait: too few of its other copies are up`)
    if (this.#options.json === true) this.#io.data(JSON.stringify(plan))
  }

  /** Nothing moves while it is down; reading, other DNS peers and publishing go on. */
  async #withoutAuthority(work: Work): Promise<void> {
    const { demo, observer, peer } = work
    const timeline = this.#timeline
    const [dns] = observer.dnsPeers(peer.name)
    if (dns !== undefined) {
      const addresses = await observer.lookup(dns, demo.zone)
      timeline.add('dns', `${demo.zone} → ${addresses.join(' ')} (by ${dns.name})`)
    }
    const [blog] = demo.blogs
    if (blog !== undefined)
      await this.#deadline(demo, 'nothing was published', () => this.#publish(work, blog))
    timeline.add('waits', 'until it is back there are no new names, and no blog is moved')
  }

  async #withoutSpoke(work: Work): Promise<void> {
    const { control, demo, observer, peer, copies, led } = work
    const timeline = this.#timeline
    const movable = led.filter((copy) => canMove(copy, copies, peer.name))
    for (const { blog } of led.filter((copy) => !movable.includes(copy)))
      timeline.add('waits', `${blog}: too few of its other copies are up, it is read only`)
    const [own] = movable
    if (this.#kind === 'partition' && own !== undefined)
      await this.#tryAtVictim(control, peer, own.blog)
    const other = copies.find(({ spoke, blog }) => spoke.name === peer.name && !isLed(led, blog))
    const blog = own?.blog ?? other?.blog ?? (led.length === 0 ? demo.blogs[0] : undefined)
    const moved = new Map<string, string>()
    let isOut = false
    let publishing: Promise<boolean> | null = null
    let failure: unknown = null
    await this.#deadline(demo, 'not all was well', async () => {
      await this.#lookForSilence(observer, peer.name)
      for (const act of await observer.newActs(peer.name)) {
        const { decision } = act
        if (decision.kind === 'away' && observer.nameOf(decision.peer) === peer.name) isOut = true
        if (decision.kind === 'assign') moved.set(decision.blog, observer.nameOf(decision.primary))
        this.#showAct(act, observer)
      }
      const isMoved = movable.every((copy) => (moved.get(copy.blog) ?? peer.name) !== peer.name)
      if (isOut && isMoved && !timeline.has('dns')) await this.#lookAtDns(work, moved)
      const isPublished = blog === undefined || timeline.has('published')
      // Who is cut off hears writers and keeps them waiting: DNS has to lead them past it first.
      const mayWrite = this.#kind === 'kill' || timeline.has('dns')
      if (publishing === null && !isPublished && mayWrite)
        publishing = this.#publish(work, blog)
          .catch((error: unknown) => {
            failure = error
            return false
          })
          .finally(() => {
            publishing = null
          })
      if (failure !== null) throw failure
      if (isOut && !timeline.has('copies')) await this.#lookAtCopies(work)
      return isOut && isMoved && isPublished && timeline.has('dns') && timeline.has('copies')
    })
    await publishing
  }

  /** What is handed in at a primary that is cut off stays with it alone: not published. */
  async #tryAtVictim(control: AdminClient, peer: ShownPeer, blog: string): Promise<void> {
    const slug = `cut-off-${this.#beginMs}`
    const title = `Handed in at ${peer.name} while it was cut off`
    const said = await control.post('/tail', { blog, peer: peer.name, slug, title }, tailAnswer)
    const words =
      said.tail === null
        ? `${peer.name} takes nothing for ${blog}`
        : `${peer.name} takes entry ${said.tail.seq} of ${blog}, "${said.tail.title}": stored on ${said.copies} of ${said.wanted}, so not published`
    this.#timeline.add('tried', words)
  }

  async #lookForSilence(observer: Observer, name: string): Promise<void> {
    if (this.#timeline.has('silence')) return
    const status = await observer.authority()
    const isSilent = status?.members.some((each) => each.name === name && each.heard === false)
    if (isSilent) this.#timeline.add('silence', `the authority hears nothing of ${name}`)
  }

  #showAct({ log, seq, decision }: Act, observer: Observer): void {
    const act = `act ${seq} of ${log}`
    switch (decision.kind) {
      case 'assign': {
        const { blog, epoch, primary, replicas, reason } = decision
        const others = replicas
          .map(({ peer }) => observer.nameOf(peer))
          .filter((each) => each !== observer.nameOf(primary))
        this.#timeline.add(
          'moved',
          `${blog}, epoch ${epoch}: ${observer.nameOf(primary)} leads, copies ${others.join(', ') || 'none'} (${act})`,
          [reason],
        )
        break
      }
      case 'away':
      case 'back':
      case 'cutoff':
      case 'reinstate': {
        const { peer, reason, evidence } = decision
        const step = decision.kind === 'away' ? 'out' : decision.kind
        const words = `${observer.nameOf(peer)}: ${reason} (${act})`
        this.#timeline.add(step, words, evidence === null ? [] : evidence.split('\n'))
        break
      }
      default:
        this.#timeline.add(decision.kind, `${actWords[decision.kind] ?? ''}${act}`)
    }
  }

  /** All DNS peers lead writers to the new primaries, and nobody to the victim. */
  async #lookAtDns(
    { demo, observer, peer, led }: Work,
    moved: ReadonlyMap<string, string>,
  ): Promise<void> {
    const servers = observer.dnsPeers(peer.name)
    const found: string[] = []
    const names = led.filter(({ blog }) => moved.has(blog)).map(({ blog }) => blog)
    for (const server of servers) {
      if ((await observer.lookup(server, demo.zone)).includes(peer.host)) return
      for (const blog of names) {
        const addresses = await observer.lookup(server, `edit.${blog}.${demo.zone}`)
        const host = observer.hostOf(moved.get(blog) ?? '')
        if (!addresses.includes(host) || addresses.includes(peer.host)) return
        if (server === servers[0]) found.push(`edit.${blog} → ${addresses.join(' ')}`)
      }
    }
    const by = servers.map(({ name }) => name).join(' and ')
    this.#timeline.add('dns', `without ${peer.host}, by ${by}`, found)
  }

  /** What the victim kept has as many copies again, where there is a spoke to make them. */
  async #lookAtCopies({ observer, peer, copies }: Work): Promise<void> {
    const kept = copies.filter(({ spoke }) => spoke.name === peer.name).map(({ blog }) => blog)
    const now = await observer.copies(peer.name)
    const spokes = observer.spokes(peer.name).length
    const isDone = kept.every((blog) => {
      const own = now.filter((copy) => copy.blog === blog)
      const wanted = own[0]?.replicas ?? 0
      return own.length === wanted || (own.length === spokes && own.length < wanted)
    })
    if (!isDone) return
    const list = kept.map((blog) => {
      const own = now.filter((copy) => copy.blog === blog)
      return `${blog}: ${own.map(({ spoke }) => spoke.name).join(', ')}`
    })
    const few = now.find(({ blog, replicas }) => kept.includes(blog) && replicas > spokes)
    const words =
      few === undefined
        ? `${kept.length === 0 ? 'none was lost' : 'as many as before, without it'}`
        : 'no other spoke is up that could keep one more'
    this.#timeline.add('copies', words, list)
  }

  /** One try of the blog's author, at an address that DNS gives for writing. */
  async #publish({ control, demo, observer }: Work, blog: string): Promise<boolean> {
    const [dns] = observer.dnsPeers(this.#name)
    const addresses =
      dns === undefined ? [] : await observer.lookup(dns, `edit.${blog}.${demo.zone}`)
    const at = addresses[this.#tries++ % addresses.length] ?? observer.spokes(this.#name)[0]?.host
    if (at === undefined) return false
    const slug = `during-${this.#kind}-${this.#beginMs}`
    const title = `Written while ${this.#name} was ${this.#kind === 'kill' ? 'down' : 'cut off'}`
    const { seq } = await control.post('/note', { blog, title, slug, at }, noteAnswer)
    if (seq === null) return false
    const copies = await observer.copies(this.#name)
    const of = copies.filter((copy) => copy.blog === blog && (copy.head?.seq ?? -1) >= seq)
    const where = of.map(({ spoke }) => spoke.name).join(', ')
    this.#timeline.add('published', `entry ${seq} of ${blog}, "${title}", kept by ${where}`)
    return true
  }

  async #deadline(demo: DemoAnswer, what: string, check: () => Promise<boolean>): Promise<void> {
    const endMs = this.#io.now() + demo.silenceMs + patienceMs
    while (!(await check())) {
      if (this.#io.now() > endMs)
        throw new CommandError(
          'notReady',
          `${what} within ${(demo.silenceMs + patienceMs) / 1_000} s. See what the peers say: log.jsonl in their folders.`,
        )
      await wait(lookMs)
    }
  }
}

type Work = {
  readonly control: AdminClient
  readonly demo: DemoAnswer
  readonly observer: Observer
  readonly peer: ShownPeer
  readonly copies: readonly Copy[]
  readonly led: readonly Copy[]
}

const isLed = (led: readonly Copy[], blog: string) => led.some((copy) => copy.blog === blog)

/** Whether enough other copies are up to end the act in force (r of n, REPLICATION 7). */
function canMove(copy: Copy, copies: readonly Copy[], victim: string): boolean {
  const others = copies.filter(({ blog, spoke }) => blog === copy.blog && spoke.name !== victim)
  return copy.replicas > 1 && others.length >= Math.ceil(copy.replicas / 2)
}

/** What other acts that come meanwhile are about. */
const actWords: Readonly<Partial<Record<string, string>>> = {
  holders: 'the spokes that hold the council’s own logs are others now: ',
}
