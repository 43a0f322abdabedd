import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { expect } from 'vitest'
import { type Draft, decodeEntry, encodeEntry } from '../../src/replication/log/entry.ts'
import { formatDate } from '../../src/replication/log/text.ts'
import { createApp } from '../../src/web/app.ts'
import type { ClaimRecord, WebSpoke } from '../../src/web/spoke.ts'
import { TestCouncil as WrittenCouncil } from '../replication/test-council.ts'
import { actsOf, memorySpoke, nameOf, udhr } from '../web/memory-spoke.ts'
import { genesis, type Holder, makeSigner, must, submissionOf } from './author.ts'
import { type Door, openDoor } from './browser.ts'
import { soon, startCouncil, type TestBlog, type TestCouncil, zone } from './council.ts'

/** An entry's own words; the chain, the date and the key follow. */
type Words = {
  readonly [K in Draft['kind']]: Omit<
    Extract<Draft, { kind: K }>,
    'council' | 'blog' | 'seq' | 'prev' | 'date' | 'key' | 'body'
  >
}[Draft['kind']] & { readonly body?: string }

/** Signs an entry behind the blog's head and hands it in until it is published. */
export async function publish(council: TestCouncil, blog: TestBlog, words: Words): Promise<void> {
  await publishText(council, blog, draftText(council, blog, words))
}

/** The text of the entry that comes next. */
export function draftText(council: TestCouncil, blog: TestBlog, words: Words): string {
  const { seq, id } = blog.head
  const entry = must(
    encodeEntry({
      ...{ council: council.id, blog: blog.name, seq: seq + 1, prev: id, body: '' },
      ...{ date: formatDate(Date.now()), key: blog.signer.fingerprint, ...words },
    } as Draft),
  )
  return Buffer.from(entry.text).toString()
}

/** The same with a text that may hold what no draft can say. */
export async function publishText(
  council: TestCouncil,
  blog: TestBlog,
  text: string,
): Promise<void> {
  const entry = must(decodeEntry(Buffer.from(text)))
  const signature = await blog.signer.sign(entry.text)
  const submission = submissionOf(entry.text, signature)
  const [spoke] = council.spokes
  await soon(async () => {
    const answer = await spoke?.post(submission)
    expect([answer?.status, answer?.body.toString()]).toEqual([201, expect.anything()])
  })
  blog.entries.push({ entry, signature, submission })
}

const markdown = [
  '# One\n\n### Three\n\n| wide | table | of | many | columns | with | figures |\n|---|:-:|-:|---|---|---|---|\n| 1 | 2 | 3 | 4 | 5 | 6 | 7,000,000,000 |',
  '```js\nconst long = "<b>a line of code that is much longer than any telephone is wide</b>"\n```',
  `> quote\n>\n> - a\n> - b\\\n>   c\n\n---\n\n${'https://example.org/'.padEnd(300, 'x')}`,
  'Some `code`, **strong**, *emphasis*, ~~gone~~, [a link](https://example.org/) and\n\n1. one\n2. two',
].join('\n\n')

/** A council as readers find it: blogs in four languages, versions, a removed post, claims. */
export async function startSite(): Promise<Site> {
  const stack = new AsyncDisposableStack()
  try {
    const council = stack.use(
      await startCouncil({ spokes: 3, ownAddresses: true, replicas: 3, dns: ['a', 'b'] }),
    )
    const claims = await fill(council)
    const door = stack.use(await openDoor(council))
    const odd = stack.use(await serveMemory(oddSpoke))
    return {
      council,
      door,
      odd: odd.url,
      ...claims,
      [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
    }
  } catch (error) {
    await stack[Symbol.asyncDispose]()
    throw error
  }
}

export type Site = AsyncDisposable & {
  readonly council: TestCouncil
  readonly door: Door
  /** address on a spoke in memory, in a state that a healthy council is never in for long */
  readonly odd: (label: string, path?: string) => string
  /** who writes maria and noor */
  readonly authors: Readonly<Record<'maria' | 'noor', Holder>>
  /** ids of claims */
  readonly ready: string
  readonly refused: string
}

async function fill(council: TestCouncil) {
  const authors = { maria: await makeSigner('maria'), noor: await makeSigner('noor') }
  const maria = await council.claim('maria', authors.maria)
  await publish(council, maria, {
    ...{ kind: 'profile', title: 'El blog de María', lang: 'es', body: 'Sobre *derechos*.' },
  })
  await publish(council, maria, {
    kind: 'post',
    slug: 'article-1',
    lang: 'es',
    tags: ['plaza', 'udhr'],
    ...udhr.es,
  })
  await publish(council, maria, {
    kind: 'post',
    slug: 'everything',
    lang: 'en',
    title: 'All of Markdown',
    body: markdown,
  })
  await publish(council, maria, {
    ...{ kind: 'post', slug: 'everything', lang: 'en', title: 'All of Markdown, again' },
    body: markdown.replace('quote', 'a longer quote').replace('Some', 'Much'),
  })
  await publish(council, maria, { kind: 'post', slug: 'regret', title: 'Regret', body: 'Words.' })
  await publish(council, maria, { kind: 'retract', slug: 'regret' })
  const noor = await council.claim('noor', authors.noor)
  await publish(council, noor, {
    kind: 'profile',
    title: 'مدونة نور',
    lang: 'ar',
    body: 'عن *الحقوق*.',
  })
  await publish(council, noor, {
    kind: 'post',
    slug: 'article-1',
    lang: 'ar',
    tags: ['حقوق', 'udhr'],
    ...udhr.ar,
  })
  const lihua = await council.claim('lihua', await makeSigner('lihua'))
  await publish(council, lihua, {
    kind: 'post',
    slug: 'article-1',
    lang: 'zh-Hans',
    ...udhr['zh-Hans'],
  })
  const signer = await makeSigner('Eva')
  const late = await genesis(signer, { council: council.id, blog: 'maria' })
  const [spoke] = council.spokes
  await spoke?.post(late.submission)
  for (const each of [maria, noor, lihua]) {
    for (const peer of council.spokes) await each.whenWhole(peer)
  }
  return { authors, ready: maria.genesis.entry.id, refused: late.entry.id }
}

const claimId = 'c'.repeat(64)
const atMs = Date.UTC(2026, 4, 3, 14, 5, 9)
const pending: ClaimRecord = {
  ...{ id: claimId, blog: nameOf('pia'), state: 'pending', code: null, reason: null },
  steps: [
    { step: 'checked', state: 'done', atMs, detail: '' },
    { step: 'asked-dns', state: 'failed', atMs, detail: 'no answer in time' },
    { step: 'asked-authority', state: 'waiting', atMs: null, detail: '' },
  ],
}
const oddSpoke = memorySpoke(
  { gone: 'unreachable' },
  {
    ...actsOf(new WrittenCouncil().admit(1, 2, 3)),
    claim: async (id) => (id === claimId ? pending : null),
    council: () => null,
  },
)

/** A spoke in memory, on a port of its own. */
export async function serveMemory(spoke: WebSpoke) {
  const server = createAdaptorServer({
    fetch: (request) => {
      const app = createApp({ ...spoke, origin: (host) => `http://${host}:${port()}` }, (error) => {
        throw error
      })
      return app.fetch(request)
    },
  })
  const port = () => (server.address() as AddressInfo).port
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: (label: string, path = '/') =>
      `http://${label === '' ? '' : `${label}.`}${zone}:${port()}${path}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
