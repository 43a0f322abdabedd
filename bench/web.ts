import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Signed } from '../src/replication/log/text.ts'
import { Child } from './child.ts'
import { config, pause } from './council.ts'
import { formatRate, formatSpread, quantile, type Result } from './figures.ts'
import type { Answers, HttpLoad } from './load-process.ts'
import { SignedLog } from './signed-log.ts'

const rounds = 7
const roundMs = 1_500
const connections = 32
const posts = 60
const blog = 'maria'
const zone = 'bench.localhost'
const host = `${blog}.${zone}`

/** A spoke that is a council by itself. */
export class LoneSpoke {
  readonly child: Child
  readonly port: number
  readonly #council: string
  readonly #stack: AsyncDisposableStack

  private constructor(child: Child, port: number, council: string, stack: AsyncDisposableStack) {
    this.child = child
    this.port = port
    this.#council = council
    this.#stack = stack
  }

  static async start(): Promise<LoneSpoke> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const child = stack.use(new Child('./spoke-process.ts'))
    const ways = { gossip: true, push: true, pull: true }
    const alone = config('a', ways, { zone }, 1)
    const { council } = await child.ask<{ council: string }>('start', { config: alone, folder })
    const port = await child.ask<number>('httpPort')
    return new LoneSpoke(child, port, council, stack.move())
  }

  /** A blog with so many posts. */
  async claim(blog: string, posts: number): Promise<SignedLog> {
    const log = await SignedLog.open(this.#council, blog)
    const [genesis] = await log.next(1)
    const id = await this.child.ask<string>('claim', genesis)
    while (!(await this.child.ask<boolean>('claimed', id))) await pause(50)
    await this.child.ask('fill', { blog, entries: await log.next(posts) })
    return log
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

/** What no server of this kind can answer faster. */
const helloWorld = {
  headers: { 'content-type': 'text/html', 'content-length': '11' },
  body: Buffer.from('hello world'),
}

type Side = { readonly server: Child; readonly load: HttpLoad; readonly status: string }
type Round = { readonly count: number; readonly wall: number; readonly cpu: number }
const sideNames = ['raw', 'page', 'zipped', 'unchanged', 'hello'] as const
type Rounds = Readonly<Record<(typeof sideNames)[number], Round[]>>

/** Bytes of the text of a long post; with everything around it, its page has almost 30 KB. */
const longBytes = 22_500

/**
 * A blog's list and a long post from memory against node:http that answers the same bytes, and 304
 * against the whole page.
 */
export async function benchWeb(): Promise<Result[]> {
  await using spoke = await LoneSpoke.start()
  const log = await spoke.claim(blog, posts)
  await spoke.child.ask('fill', { blog, entries: await log.next(1, longBytes) })
  await using loader = new Child('./load-process.ts')
  const year = new Date(Date.now() - 24 * 3_600_000).getUTCFullYear()
  const list = await benchPage(spoke, loader, '/')
  const long = await benchPage(spoke, loader, `/${year}/post-${posts + 1}`)
  return [
    againstRaw('a blog’s list', list),
    againstRaw('a long post', long),
    unchangedAgainstWhole('a long post', long),
    unchangedAgainstWhole('a blog’s list', list),
  ]
}

type Found = { readonly bytes: number; readonly rounds: Rounds }

async function benchPage(spoke: LoneSpoke, loader: Child, path: string): Promise<Found> {
  await using raw = new Child('./plain-server.ts')
  await using hello = new Child('./plain-server.ts')
  const page = await fetchPage(spoke.port, path)
  const { etag = '', 'content-length': length } = page.headers
  const rawPort = await raw.ask<number>('http', page)
  const load = (port: number, headers = ''): HttpLoad => ({
    ...{ port, connections, ms: roundMs, perSecond: null },
    request: `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`,
  })
  const ours = (headers: string, status: string): Side => ({
    ...{ server: spoke.child, load: load(spoke.port, headers), status },
  })
  const sides: Record<(typeof sideNames)[number], Side> = {
    raw: { server: raw, load: load(rawPort), status: '200' },
    page: ours('', '200'),
    zipped: ours('Accept-Encoding: gzip\r\n', '200'),
    unchanged: ours(`If-None-Match: ${etag}\r\n`, '304'),
    hello: {
      server: hello,
      load: load(await hello.ask<number>('http', helloWorld)),
      status: '200',
    },
  }
  const found: Rounds = { raw: [], page: [], zipped: [], unchanged: [], hello: [] }
  for (let round = -1; round < rounds; round++) {
    for (const name of sideNames) {
      const one = await measure(loader, sides[name])
      // The first round finds code that has not been compiled.
      if (round >= 0) found[name].push(one)
    }
  }
  return { bytes: Number(length), rounds: found }
}

function againstRaw(what: string, { bytes, rounds: { raw, page, zipped } }: Found): Result {
  const ratios = ratiosOf(page, raw)
  return {
    name: `web: ${what} of ${bytes} bytes from memory, against node:http with the same bytes`,
    lines: [
      ...[line('ours', page), line('node:http', raw), line('gzipped', zipped)],
      `single rounds ${formatSpread(ratios)}`,
    ],
    ...{ ratio: quantile(ratios, 0.5), wanted: 'least', target: 0.7 },
  }
}

function unchangedAgainstWhole(what: string, { bytes, rounds }: Found): Result {
  const { page, unchanged, hello } = rounds
  const ratios = ratiosOf(unchanged, page)
  return {
    name: `web: 304, against the whole page: ${what} of ${bytes} bytes`,
    lines: [
      ...[line('304', unchanged), line('page', page), line('node hello', hello)],
      `single rounds ${formatSpread(ratios)}`,
    ],
    ...{ ratio: quantile(ratios, 0.5), wanted: 'least', target: 1.3 },
  }
}

const ratiosOf = (one: readonly Round[], other: readonly Round[]) =>
  one.map((each, at) => perCpu(each) / perCpu(other[at] as Round))
const perCpu = ({ count, cpu }: Round) => count / cpu
const sum = (all: readonly Round[], of: keyof Round) =>
  all.reduce((total, each) => total + each[of], 0)
const line = (name: string, all: readonly Round[]) =>
  `${name.padEnd(10)} ${formatRate(sum(all, 'count'), { wall: sum(all, 'wall'), cpu: sum(all, 'cpu') })}`

async function measure(loader: Child, { server, load, status }: Side): Promise<Round> {
  const before = await server.ask<number>('cpu')
  const answers = await loader.ask<Answers>('http', load)
  const cpu = (await server.ask<number>('cpu')) - before
  if (answers.status !== status) throw new Error(`answered ${answers.status}, not ${status}`)
  return { count: answers.count, wall: answers.seconds, cpu }
}

/** Entries taken in a second while the page is read. */
const entriesPerSecond = 200
const busySeconds = 3
const busyRounds = 7
const otherBlogs = ['ana', 'bea', 'noor', 'lihua']

/**
 * How long readers of a blog's list wait while the spoke takes entries of four other blogs, against
 * readers of a hello-world page; as many at a time as in `benchWeb`, each asking again at once. And
 * the same while the entries come into that very blog, so that each makes the list another one.
 */
export async function benchBusyPage(): Promise<Result> {
  await using spoke = await LoneSpoke.start()
  await using plain = new Child('./plain-server.ts')
  await using loader = new Child('./load-process.ts')
  const own = [await spoke.claim(blog, posts)]
  const others: SignedLog[] = []
  for (const name of otherBlogs) others.push(await spoke.claim(name, posts))
  const plainPort = await plain.ask<number>('http', helloWorld)
  const run = busyRun({ spoke, loader, plainPort, host })
  // The first round finds code that has not been compiled.
  await run([blog], own)
  const other = await inTurn(busyRounds, () => run(otherBlogs, others))
  const same = await inTurn(busyRounds, () => run([blog], own))
  const ratios = other.map(ratioOfP99)
  const taken = (all: typeof other) =>
    Math.round(
      quantile(
        all.map((each) => each.taken),
        0.5,
      ),
    )
  return {
    name: `busy page: a list from memory while ${taken(other)} entries/s come into four other blogs`,
    lines: [
      `ours  ${delaysOf(other.map(({ ours }) => ours))}`,
      `hello ${delaysOf(other.map(({ hello }) => hello))}`,
      `p99 of single rounds ${formatSpread(ratios)}`,
      `into the same blog (${taken(same)}/s): ours  ${delaysOf(same.map(({ ours }) => ours))}`,
      `into the same blog: hello ${delaysOf(same.map(({ hello }) => hello))}`,
      `into the same blog: p99 of single rounds ${formatSpread(same.map(ratioOfP99))}`,
    ],
    ...{ ratio: quantile(ratios, 0.5), wanted: 'most', target: 3 },
  }
}

/**
 * How long readers of the front page wait while the spoke takes entries of four blogs, each of which
 * makes it another one, against readers of a hello-world page.
 */
export async function benchFront(): Promise<Result> {
  await using spoke = await LoneSpoke.start()
  await using plain = new Child('./plain-server.ts')
  await using loader = new Child('./load-process.ts')
  const logs: SignedLog[] = []
  for (const name of otherBlogs) logs.push(await spoke.claim(name, posts))
  const plainPort = await plain.ask<number>('http', helloWorld)
  const run = busyRun({ spoke, loader, plainPort, host: zone })
  // The first round finds code that has not been compiled.
  await run(otherBlogs, logs)
  const all = await inTurn(busyRounds, () => run(otherBlogs, logs))
  const ratios = all.map(ratioOfP99)
  const taken = quantile(
    all.map((each) => each.taken),
    0.5,
  )
  return {
    name: `front page from memory while ${Math.round(taken)} posts/s come in`,
    lines: [
      `ours  ${delaysOf(all.map(({ ours }) => ours))}`,
      `hello ${delaysOf(all.map(({ hello }) => hello))}`,
      `p99 of single rounds ${formatSpread(ratios)}`,
    ],
    ...{ ratio: quantile(ratios, 0.5), wanted: 'most', target: 3 },
  }
}

/** One round: readers of a page while entries come into some blogs, and of a hello-world page. */
function busyRun(of: {
  readonly spoke: LoneSpoke
  readonly loader: Child
  readonly plainPort: number
  readonly host: string
}) {
  const load = (port: number): HttpLoad => ({
    ...{ port, connections, ms: busySeconds * 1_000, perSecond: null },
    request: `GET / HTTP/1.1\r\nHost: ${of.host}\r\nAccept-Encoding: gzip\r\n\r\n`,
  })
  return async (names: readonly string[], logs: readonly SignedLog[]) => {
    const perSecond = entriesPerSecond / logs.length
    const parts: Signed[][] = []
    for (const log of logs) parts.push(await log.next(perSecond * busySeconds))
    const hello = await of.loader.ask<Answers>('http', load(of.plainPort))
    const [ours, ...taken] = await Promise.all([
      of.loader.ask<Answers>('http', load(of.spoke.port)),
      ...names.map((name, at) =>
        of.spoke.child.ask<number>('ingest', { blog: name, entries: parts[at], perSecond }),
      ),
    ])
    return { taken: taken.reduce((sum, each) => sum + each, 0), ours, hello }
  }
}

async function inTurn<T>(times: number, job: () => Promise<T>): Promise<T[]> {
  const all: T[] = []
  for (let time = 0; time < times; time++) all.push(await job())
  return all
}

const ratioOfP99 = ({ ours, hello }: { ours: Answers; hello: Answers }) =>
  quantile(ours.delays, 0.99) / quantile(hello.delays, 0.99)

function delaysOf(all: readonly Answers[]): string {
  const delays = all.flatMap((each) => each.delays)
  const shown = [0.5, 0.99].map((of) => `p${100 * of} ${quantile(delays, of).toFixed(2)} ms`)
  return `${shown.join(', ')}, ${delays.length} pages`
}

async function fetchPage(port: number, path: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    headers: Record<string, string>
    body: Uint8Array
  }>()
  const asked = request({ host: '127.0.0.1', port, path, headers: { host } }, async (answer) => {
    const parts: Buffer[] = []
    for await (const part of answer) parts.push(part as Buffer)
    const { date: _, connection: __, 'keep-alive': ___, ...headers } = answer.headers
    resolve({ headers: headers as Record<string, string>, body: Buffer.concat(parts) })
  })
  asked.on('error', reject)
  asked.end()
  return promise
}
