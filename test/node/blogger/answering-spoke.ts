import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeEntry, type Entry } from '../../../src/replication/log/entry.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import { must, type WrittenCouncil } from './written-log.ts'

export type Reply = { status: number; body: unknown; headers?: Record<string, string> }
type Handler = (body: Buffer, request: IncomingMessage) => Reply | 'silence'

/** What a command handed in, and the Host it asked for. */
export type Submitted = { entry: Entry; signature: string; host: string }

/**
 * Answers as a spoke does (PROTOCOL.md, HTTP), for the edge cases of the blogger's commands. By
 * default it takes every entry; a test replaces single answers in `on`.
 */
export class AnsweringSpoke implements AsyncDisposable {
  readonly submitted: Submitted[] = []
  readonly hosts: string[] = []
  readonly on = new Map<string, Handler>()
  /** how many replicas give receipts */
  copies = 3
  log: Entry[] = []
  readonly #council: WrittenCouncil
  readonly #server: Server

  private constructor(council: WrittenCouncil) {
    this.#council = council
    this.#server = createServer((request, response) => {
      void (async () => {
        const parts: Buffer[] = []
        for await (const part of request) parts.push(part as Buffer)
        const path = new URL(request.url ?? '/', 'http://localhost').pathname
        const name = `${request.method} ${path.replace(/[0-9a-f]{64}/, '<id>')}`
        this.hosts.push(`${name} ${request.headers.host?.replace(/:.*/, '')}`)
        const handler = this.on.get(name) ?? this.#usual(name)
        const reply = handler(Buffer.concat(parts), request)
        if (reply === 'silence') return
        const { status, body, headers } = reply
        const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
        response.writeHead(status, headers).end(bytes)
      })()
    })
  }

  static async start(council: WrittenCouncil): Promise<AnsweringSpoke> {
    const spoke = new AnsweringSpoke(council)
    const { promise, resolve } = Promise.withResolvers<void>()
    spoke.#server.listen(0, '127.0.0.1', resolve)
    await promise
    return spoke
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** As the demo prints it: a name that Node itself cannot look up. */
  get at(): string {
    return `http://b.spoke.blogs.localhost:${this.port}`
  }

  /** A claim's record in the order in which it is asked for; the last one stays. */
  claims(...records: { state: string; reason?: string; steps?: string[] }[]): void {
    this.on.set('GET /claim/<id>', (_, request) => {
      const record = records.length > 1 ? records.shift() : records[0]
      const id = request.url?.slice('/claim/'.length)
      const steps = (record?.steps ?? []).map((step) => ({
        step,
        state: 'done',
        at: '2026-11-23T03:40:00Z',
        detail: `${step} it`,
      }))
      return { status: 200, body: { ...record, steps, id, blog: 'maria', url: this.#url('/') } }
    })
  }

  /** The answer to an entry, with receipts that hold. */
  answerTo(entry: Entry, copies = this.copies): Reply {
    const published = copies >= 2
    const receipts = this.#council.replicas.slice(0, copies).map(({ peer, store }, index) => {
      const { signed } = this.#council.receiptOf(index, {
        log: entry.log,
        head: { seq: entry.seq, id: entry.id },
        act: 'ac'.repeat(32) as EntryId,
      })
      return {
        peer,
        spoke: 'abc'[index],
        store,
        since: '2026-11-23T03:40:00Z',
        at: '2026-11-23T03:40:00Z',
        text: Buffer.from(signed.text).toString(),
        signature: Buffer.from(signed.signature).toString('base64'),
      }
    })
    const slug = entry.kind === 'post' ? entry.slug : null
    const reason = published ? {} : { reason: `stored on ${copies} server` }
    return {
      status: published ? 201 : 202,
      body: {
        seq: entry.seq,
        id: entry.id,
        slug,
        url: this.#url(`/2026/${slug}`),
        published,
        copies,
        wanted: 3,
        ...reason,
        receipts,
      },
    }
  }

  taken(head: Entry): Reply {
    return {
      status: 409,
      body: {
        error: { code: 'SEQ_TAKEN', reason: 'Another entry has this number.' },
        head: { seq: head.seq, id: head.id },
      },
    }
  }

  /** What the spoke shows of the log it was given. */
  logJson(): Reply {
    const head = this.log.at(-1)
    if (head === undefined) return { status: 404, body: Buffer.from('<h1>no such blog</h1>') }
    return {
      status: 200,
      body: {
        council: this.#council.council,
        blog: head.log,
        genesis: this.log[0]?.id,
        key: this.log[0]?.key,
        head: { seq: head.seq, id: head.id },
        published: head.seq,
        entries: this.log.map(({ seq, id, kind, date, ...rest }) => ({
          seq,
          id,
          kind,
          date,
          ...('slug' in rest ? { slug: rest.slug } : {}),
          ...('title' in rest ? { title: rest.title } : {}),
        })),
        receipts: [],
        act: null,
        roster: [],
      },
    }
  }

  #usual(name: string): Handler {
    switch (name) {
      case 'GET /_council/status':
        return () => ({ status: 200, body: { council: this.#council.council, spoke: 'b' } })
      case 'GET /log.json':
        return () => this.logJson()
      case 'POST /log':
        return (body, request) => {
          const { entry } = this.take(body, request)
          if (entry.kind === 'genesis') {
            const claim = `http://b.spoke.blogs.localhost:${this.port}/claim/${entry.id}`
            return {
              status: 202,
              body: {
                seq: 0,
                id: entry.id,
                claim,
                url: this.#url('/'),
                published: false,
                receipts: [],
              },
            }
          }
          this.log.push(entry)
          return this.answerTo(entry)
        }
      default:
        return () => ({
          status: 404,
          body: { error: { code: 'NOT_FOUND', reason: 'No such page.' } },
        })
    }
  }

  /** Splits a submission as the contract says. */
  take(body: Buffer, request: IncomingMessage): Submitted {
    const mark = body.lastIndexOf('\n-----BEGIN PGP SIGNATURE-----')
    const entry = must(decodeEntry(body.subarray(0, mark)))
    const signature = body.subarray(mark + 1).toString()
    const submitted = { entry, signature, host: request.headers.host ?? '' }
    this.submitted.push(submitted)
    return submitted
  }

  #url(path: string): string {
    return `http://maria.blogs.localhost:${this.port}${path}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.#server.close(resolve)
    await promise
  }
}
