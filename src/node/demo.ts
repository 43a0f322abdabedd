import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { SpokeClient } from './blogger/client.ts'
import { CommandError } from './blogger/failure.ts'
import type { CommandIo } from './blogger/io.ts'
import { checkAddresses } from './demo/addresses.ts'
import { DemoAuthor } from './demo/author.ts'
import { askAll, until } from './demo/checks.ts'
import { Child } from './demo/child.ts'
import { type DemoBlog, readDemoBlogs } from './demo/content.ts'
import { DemoControl } from './demo/control.ts'
import { type DemoPeer, DemoPeers, titleOf } from './demo/peers.ts'
import { type DemoPlan, defaultPort, frontDoorHost, planDemo } from './demo/plan.ts'

export type DemoOptions = {
  readonly spokes: number
  readonly port: number
  /** seconds of silence after which a peer counts as down */
  readonly silence?: number
  readonly dir?: string
  readonly json?: boolean
}

/** How long each stage may take before the demo gives up and says what is missing, ms. */
const stageMs = 60_000
/** Pause of the filling while no blog moves on, ms. */
const retryMs = 2_000

/**
 * `demo`: a whole council on this machine, each peer a process of its own, until `stop` resolves.
 * The demo itself is one more outsider: it starts processes, asks DNS and HTTP, and publishes by
 * `POST /log`.
 */
export async function demo(
  options: DemoOptions,
  io: CommandIo,
  stop: Promise<void>,
): Promise<void> {
  const { silence = 15 } = options
  const plan = planDemo({ ...options, silenceMs: silence * 1_000 })
  await checkAddresses(plan)
  await using folders = new AsyncDisposableStack()
  const folder = await openFolder(options.dir, folders)
  const stopping = new AbortController()
  const processes = new AsyncDisposableStack()
  const run = new DemoRun({ plan, folder, io, processes, signal: stopping.signal })
  const work = run.run(options.json === true)
  try {
    await Promise.race([work.then(() => stop), stop])
    io.say('\nstopping …')
  } finally {
    // First what may start another process, then the processes: afterwards nobody writes any more.
    stopping.abort()
    await processes.disposeAsync()
    await work.catch(() => undefined)
  }
}

async function openFolder(dir: string | undefined, folders: AsyncDisposableStack): Promise<string> {
  if (dir !== undefined) {
    await mkdir(dir, { recursive: true })
    return resolve(dir)
  }
  const folder = await mkdtemp(join(tmpdir(), 'council-demo-'))
  folders.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** The line that tells this demo something. */
const command = (plan: DemoPlan, words: string) =>
  `./council demo ${words}${plan.port === defaultPort ? '' : ` --port ${plan.port}`}`

type DemoParts = {
  readonly plan: DemoPlan
  readonly folder: string
  readonly io: CommandIo
  /** takes over each process as soon as it runs */
  readonly processes: AsyncDisposableStack
  readonly signal: AbortSignal
}

class DemoRun {
  readonly #parts: DemoParts
  readonly #peers: DemoPeers
  #authors: readonly DemoAuthor[] | null = null
  readonly #startMs: number

  constructor(parts: DemoParts) {
    const { plan, folder, io, processes, signal } = parts
    this.#parts = parts
    this.#peers = processes.use(
      new DemoPeers({
        ...{ plan, folder, env: io.env, signal, readyMs: stageMs },
        lost: (peer) =>
          io.say(
            `  ✗ ${titleOf(peer)} is down and stays down. Start it again: ${command(plan, 'heal')}`,
          ),
        back: (peer) => io.say(`  ✓ ${titleOf(peer)} is back`),
      }),
    )
    this.#startMs = parts.io.now()
  }

  /** Starts everything, checks it from outside, shows the screen, and fills the blogs. */
  async run(json: boolean): Promise<void> {
    const { plan, io } = this.#parts
    const { zone, port } = plan
    io.say('council demo · everything stays on this machine · Ctrl-C stops it')
    await this.#peers.relays.start()
    await this.#listen()
    const [authority, blogs] = await Promise.all([
      this.#peers.start(plan.authority, null),
      readDemoBlogs(),
      this.#startFrontDoor(),
    ])
    this.#done('authority', `dns ${plan.authority.host}:${plan.dnsPort}`)
    const { bootstrap, council } = await authority.ready
    const spokes = await Promise.all(
      plan.spokes.map((spoke) => this.#peers.start(spoke, bootstrap)),
    )
    const places = plan.spokes.map(({ name, host }) => `${name} ${host}`)
    this.#done('spokes', `${places.join('   ')}   (port ${port})`)
    await this.#waitForZone()
    this.#done('names', `DNS of ${plan.authority.name} and spoke a say the same`)

    const authors = await this.#openAuthors(blogs, council)
    const [first, ...others] = authors as [DemoAuthor, ...DemoAuthor[]]
    await this.#begin(first)
    this.#done('blogs', `${first.blog.name} claimed, its first article published`)
    const holders = await this.#readThroughFrontDoor(first.blog)
    this.#done('pages', 'read through DNS and the front door')
    this.#showScreen(first.blog, spokes, holders, blogs.length * first.blog.articles.length)

    await Promise.all(others.map((author) => this.#begin(author)))
    this.#authors = authors
    if (json) {
      const line = {
        zone,
        council,
        front: `http://${zone}:${port}`,
        ...(await this.#describe(authority, spokes)),
      }
      io.data(JSON.stringify(line))
    }
    await this.#fill(authors)
  }

  /** For `demo kill` and its like. Without it the demo runs all the same. */
  async #listen(): Promise<void> {
    const { plan, io, processes } = this.#parts
    const control = new DemoControl({ plan, peers: this.#peers, authors: () => this.#authors })
    const server = await control.listen(io.env)
    if (server.ok) processes.use(server.value)
    else io.say(`  ✗ no commands reach this demo: ${server.reason}`)
  }

  async #startFrontDoor(): Promise<void> {
    const { plan, folder } = this.#parts
    const dns = this.#dnsServers()
    const args = ['demo-front-door', '--host', frontDoorHost, '--port', `${plan.port}`]
    const log = join(folder, 'front-door', 'log.jsonl')
    const child = this.#startChild('front door', [...args, '--dns', ...dns], log)
    await child.ready(stageMs)
    child.onLost(() => this.#parts.io.say('  ✗ the front door is down and stays down.'))
  }

  #startChild(name: string, args: readonly string[], log: string): Child {
    const { io, processes, signal } = this.#parts
    signal.throwIfAborted()
    return processes.use(new Child({ name, args, log }, io.env))
  }

  #dnsServers(): string[] {
    const { authority, spokes, dnsPort } = this.#parts.plan
    return [authority, ...spokes]
      .filter((peer) => peer.hasDns)
      .map(({ host }) => `${host}:${dnsPort}`)
  }

  #until<T>(what: string, check: () => Promise<T | null>): Promise<T> {
    return until(what, check, { deadlineMs: stageMs, signal: this.#parts.signal })
  }

  /** Every spoke was admitted and fetched from outside, and both DNS peers say so. */
  async #waitForZone(): Promise<void> {
    const { zone, spokes } = this.#parts.plan
    const wanted = spokes.map(({ host }) => host)
    await this.#until('The DNS servers did not name all spokes', async () => {
      const named = await askAll(this.#dnsServers(), zone, zone)
      return named !== null && wanted.every((host) => named.includes(host)) ? true : null
    })
  }

  #openAuthors(blogs: readonly DemoBlog[], council: string): Promise<DemoAuthor[]> {
    const { plan, folder, io } = this.#parts
    const urls = plan.spokes.map(({ host }) => `http://${host}:${plan.port}`)
    return Promise.all(
      blogs.map((blog, index) => {
        // Each blog at another spoke, so that each spoke is somebody's primary.
        const at = index % urls.length
        const spokes = [...urls.slice(at), ...urls.slice(0, at)]
        return DemoAuthor.open({ blog, folder: join(folder, 'authors'), council, spokes }, io)
      }),
    )
  }

  /** Until the name is hers and the first article is published. */
  async #begin(author: DemoAuthor): Promise<void> {
    const { name } = author.blog
    await this.#until(`The blog ${name} was not ready`, () => author.claim())
    await this.#until(`The first article of ${name} was not published`, async () => {
      if (author.published === 0) await author.step()
      if (author.published > 0) return true
      if (author.trouble !== '') throw new CommandError('notReady', author.trouble)
      return null
    })
  }

  /** @returns the addresses at which DNS says the blog is read */
  async #readThroughFrontDoor(blog: DemoBlog): Promise<readonly string[]> {
    const { zone, port } = this.#parts.plan
    const host = `${blog.name}.${zone}`
    const holders = await this.#until(`The DNS servers did not name ${host}`, () =>
      askAll(this.#dnsServers(), zone, host),
    )
    const door = new SpokeClient(`http://${frontDoorHost}:${port}`)
    await this.#until('The front page was not served through the front door', async () => {
      const front = await door.ask({ path: '/', host: zone })
      const list = await door.ask({ path: '/', host })
      const isThere = list.body.includes(blog.articles[0]?.title ?? '')
      return front.status === 200 && list.status === 200 && isThere ? true : null
    })
    return holders
  }

  #showScreen(
    blog: DemoBlog,
    spokes: readonly DemoPeer[],
    holders: readonly string[],
    articles: number,
  ): void {
    const { zone, port, authority, dnsPort } = this.#parts.plan
    const held = spokes.filter(({ host }) => holders.includes(host))
    const victim = held.find(({ hasDns }) => !hasDns) ?? held[0] ?? (spokes[0] as DemoPeer)
    const lines = [
      '',
      `  Open      http://${zone}:${port}`,
      `  A blog    http://${blog.name}.${zone}:${port}`,
      `  Write     http://${zone}:${port}/start`,
      '',
      '  Try       open a post, and paste its lines for gpg into another terminal',
      `            dig @${authority.host} -p ${dnsPort} ${blog.name}.${zone}`,
      `            ${command(this.#parts.plan, `kill ${victim.name}`)}   ends spoke ${victim.name}, which has a copy of ${blog.name}: reload, it stays up`,
      `            ${command(this.#parts.plan, 'heal')}   brings back what was ended or cut off`,
      '',
      `  Filling   goes on behind this screen: ${articles} articles in six languages, in turns`,
    ]
    for (const line of lines) this.#parts.io.say(line)
  }

  async #describe(authority: DemoPeer, spokes: readonly DemoPeer[]) {
    const { plan } = this.#parts
    const common = async ({ ready, pid, dir }: DemoPeer) => {
      const { peerId, addresses } = await ready
      return { peerId, pid, multiaddr: addresses[0], dir }
    }
    return {
      dns: [authority, ...spokes]
        .filter(({ hasDns }) => hasDns)
        .map(({ host }) => ({ host, port: plan.dnsPort })),
      authority: await common(authority),
      spokes: await Promise.all(
        spokes.map(async (spoke) => ({
          name: spoke.name,
          http: `http://${spoke.host}:${plan.port}`,
          ...(await common(spoke)),
          config: spoke.config,
        })),
      ),
    }
  }

  /** Article by article, in turns over the languages. What cannot be published waits its turn. */
  async #fill(authors: readonly DemoAuthor[]): Promise<void> {
    const { io, signal } = this.#parts
    let isStalled = false
    for (;;) {
      let moved = false
      let open = false
      for (const author of authors) {
        signal.throwIfAborted()
        const step = await author.step()
        if (step === 'published') moved = true
        if (step !== 'done') open = true
      }
      if (!open) break
      if (!moved) {
        const trouble = authors.find((author) => author.trouble !== '')?.trouble ?? ''
        if (!isStalled && trouble !== '')
          io.say(`  filling waits, and goes on by itself: ${trouble}`)
        await wait(retryMs, undefined, { signal })
      }
      isStalled = !moved
    }
    const articles = authors.reduce((sum, author) => sum + author.published, 0)
    this.#done('filled', `${articles} articles in ${authors.length} blogs`)
  }

  #done(what: string, words: string): void {
    const seconds = ((this.#parts.io.now() - this.#startMs) / 1000).toFixed(1)
    this.#parts.io.say(`  ✓ ${what.padEnd(10)} ${words}   ${seconds} s`)
  }
}
