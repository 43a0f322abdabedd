import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { z } from 'zod'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { answerNo, order, question } from '../admin/admin-route.ts'
import { AdminServer } from '../admin/admin-server.ts'
import { CommandError } from '../blogger/failure.ts'
import { type Altered, alterPost } from './alter.ts'
import type { DemoAuthor } from './author.ts'
import type { DemoPeer, DemoPeers } from './peers.ts'
import { type DemoPlan, frontDoorHost } from './plan.ts'

/** Where a running demo is told what to do: in the user's own state folder, one for each port. */
export function demoSocketPath(env: NodeJS.ProcessEnv, port: number): string {
  const state = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state')
  return join(state, 'council', `demo-${port}.sock`)
}

const name = z.string().min(1).max(60)
const which = z.strictObject({ peer: name })
const note = { blog: name, slug: name, title: z.string().min(1).max(200) }
const noteRequest = z.strictObject({ ...note, at: z.ipv4() })
const tailRequest = z.strictObject({ ...note, peer: name })

const shownPeer = z.object({
  name: z.string(),
  host: z.string(),
  pid: z.number(),
  config: z.string(),
  isAuthority: z.boolean(),
  hasDns: z.boolean(),
  state: z.enum(['up', 'down', 'cut off']),
})
export type ShownPeer = z.infer<typeof shownPeer>
const tail = z.object({
  blog: z.string(),
  /** the spoke that alone has it */
  peer: z.string(),
  seq: z.number(),
  id: z.string(),
  title: z.string(),
})
export type ShownTail = z.infer<typeof tail>
export const demoAnswer = z.object({
  zone: z.string(),
  port: z.number(),
  dnsPort: z.number(),
  silenceMs: z.number(),
  front: z.string(),
  peers: z.array(shownPeer),
  blogs: z.array(z.string()),
  /** what a spoke that was cut off took, and nobody else has */
  tails: z.array(tail),
})
export type DemoAnswer = z.infer<typeof demoAnswer>
export const faultAnswer = z.object({ peer: shownPeer })
export const healAnswer = z.object({ started: z.array(z.string()), mended: z.array(z.string()) })
const altered = z.object({
  blog: z.string(),
  seq: z.number(),
  id: z.string(),
  title: z.string(),
  path: z.string(),
  word: z.string(),
  lie: z.string(),
})
export type ShownAltered = z.infer<typeof altered>
export const tamperAnswer = z.object({ peer: shownPeer, altered })
/** A note that is on its way: `seq` once it is published, until then why not. */
export const noteAnswer = z.object({ seq: z.number().nullable(), trouble: z.string() })
export const tailAnswer = z.object({
  /** null: the spoke took nothing */
  tail: tail.nullable(),
  copies: z.number(),
  wanted: z.number(),
})

export type Controlled = {
  readonly plan: DemoPlan
  readonly peers: DemoPeers
  /** null until they have begun */
  readonly authors: () => readonly DemoAuthor[] | null
}

/**
 * What the commands `demo kill`, `partition` and `heal` ask of a running demo. It only does what it
 * is told; what follows, the commands see for themselves, as anybody could.
 */
export class DemoControl {
  readonly #demo: Controlled
  readonly #cutOff = new Set<string>()
  readonly #tails: ShownTail[] = []

  constructor(demo: Controlled) {
    this.#demo = demo
  }

  /** Listens on the demo's socket. Codes as of `AdminServer.listen`. */
  async listen(env: NodeJS.ProcessEnv): Promise<Verdict<AdminServer>> {
    const path = demoSocketPath(env, this.#demo.plan.port)
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
    const app = this.#app()
    return AdminServer.listen((request) => app.fetch(request), path)
  }

  #app(): Pick<Hono, 'fetch'> {
    const app = new Hono()
    question(app, '/demo', async () => accept(this.#describe()))
    order(app, '/kill', which, ({ peer }) =>
      this.#fault(peer, async (victim) => {
        await victim.kill()
        this.#cutOff.delete(victim.name)
      }),
    )
    order(app, '/partition', which, ({ peer }) =>
      this.#fault(peer, async (victim) => {
        this.#cut(victim)
      }),
    )
    order(app, '/tamper', which, ({ peer }) => this.#tamper(peer))
    order(app, '/heal', z.strictObject({}), () => this.#heal())
    order(app, '/note', noteRequest, async ({ blog, slug, title, at }) => {
      const author = this.#author(blog)
      if (!author.ok) return author
      const seq = await author.value.publishNote({ slug, title, body: noteBody }, at)
      return accept({ seq, trouble: seq === null ? author.value.trouble : '' })
    })
    order(app, '/tail', tailRequest, (asked) => this.#leaveTail(asked))
    app.notFound((c) =>
      answerNo(c, refuse('ADMIN_NOT_FOUND', 'The running demo is of another version.')),
    )
    app.onError((error, c) =>
      answerNo(c, refuse('ADMIN_FAILED', `The demo failed: ${error.message}`)),
    )
    return app
  }

  #describe(): DemoAnswer {
    const { plan, peers, authors } = this.#demo
    const { zone, port, dnsPort, silenceMs } = plan
    return {
      ...{ zone, port, dnsPort, silenceMs, front: `http://${frontDoorHost}:${port}` },
      peers: peers.all.map((peer) => this.#show(peer)),
      blogs: (authors() ?? []).map(({ blog }) => blog.name),
      tails: this.#tails,
    }
  }

  #show(peer: DemoPeer): ShownPeer {
    const { host, pid, config, isAuthority, hasDns, isRunning } = peer
    const state = isRunning ? (this.#cutOff.has(peer.name) ? 'cut off' : 'up') : 'down'
    return { name: peer.name, host, pid, config, isAuthority, hasDns, state }
  }

  async #fault(
    peer: string,
    act: (victim: DemoPeer) => Promise<void>,
  ): Promise<Verdict<z.infer<typeof faultAnswer>>> {
    const victim = this.#demo.peers.get(peer)
    if (victim === null) {
      const names = this.#demo.peers.all.map((each) => each.name).join(', ')
      return refuse('DEMO_NO_PEER', `The demo has no peer "${peer}". It has ${names}.`)
    }
    const { state } = this.#show(victim)
    if (state !== 'up') {
      return refuse(
        'DEMO_IS_DOWN',
        `${peer} is ${state} already. Bring it back: ./council demo heal`,
      )
    }
    await act(victim)
    return accept({ peer: this.#show(victim) })
  }

  #cut(victim: DemoPeer): void {
    const { relays, all } = this.#demo.peers
    for (const { name: other } of all) {
      if (other === victim.name) continue
      relays.cut(victim.name, other)
      relays.cut(other, victim.name)
    }
    this.#cutOff.add(victim.name)
  }

  /** Alters a post on the disk of a spoke that is stopped for it. */
  async #tamper(peer: string): Promise<Verdict<z.infer<typeof tamperAnswer>>> {
    let altered: Altered | null = null
    const fault = await this.#fault(peer, async (victim) => {
      if (victim.isAuthority) return
      await victim.stop()
      const blogs = (this.#demo.authors() ?? []).map(({ blog }) => blog.name)
      for (const blog of blogs) altered ??= await alterPost(join(victim.dir, 'data'), blog)
      // Whoever watches shall see it from its first answer on: nobody waits for it here.
      victim.start()
    })
    if (!fault.ok) return fault
    return altered === null
      ? refuse('DEMO_KEEPS_NOTHING', `${peer} keeps no post that could be altered.`)
      : accept({ ...fault.value, altered })
  }

  async #heal(): Promise<Verdict<z.infer<typeof healAnswer>>> {
    const { relays, all } = this.#demo.peers
    const mended = [...this.#cutOff]
    relays.mend()
    this.#cutOff.clear()
    const down = all.filter(({ isRunning }) => !isRunning)
    for (const peer of down) peer.start()
    return accept({ started: down.map((peer) => peer.name), mended })
  }

  #author(blog: string): Verdict<DemoAuthor> {
    const authors = this.#demo.authors()
    if (authors === null)
      return refuse('DEMO_NOT_READY', 'The demo is starting. Try again in some seconds.')
    const author = authors.find((each) => each.blog.name === blog)
    return author === undefined
      ? refuse('DEMO_NO_PEER', `The demo has no blog "${blog}".`)
      : accept(author)
  }

  async #leaveTail({
    blog,
    peer,
    slug,
    title,
  }: z.infer<typeof tailRequest>): Promise<Verdict<z.infer<typeof tailAnswer>>> {
    const author = this.#author(blog)
    if (!author.ok) return author
    const { host } = this.#demo.peers.get(peer) ?? { host: '' }
    const url = `http://${host}:${this.#demo.plan.port}`
    try {
      const left = await author.value.leaveTail(url, { slug, title, body: noteBody })
      if (left === null) return accept({ tail: null, copies: 0, wanted: 0 })
      const { entry, answer } = left
      const shown = {
        ...{ blog, peer, seq: entry.seq, id: entry.id },
        title: 'title' in entry ? entry.title : title,
      }
      this.#tails.push(shown)
      return accept({ tail: shown, copies: answer.copies, wanted: answer.wanted })
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return accept({ tail: null, copies: 0, wanted: 0 })
    }
  }
}

const noteBody = 'A note of the demo, to show that writing goes on.'
