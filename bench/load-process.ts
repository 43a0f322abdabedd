import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { serveParent } from './child.ts'

// Asks one server for `ms`, in a process of its own, and says how many answers came and how soon.

export type HttpLoad = {
  readonly port: number
  /** one whole request; the same is sent again and again */
  readonly request: string
  readonly connections: number
  readonly ms: number
  /** requests a second in all, spread evenly; null: each as soon as the one before is answered */
  readonly perSecond: number | null
}
export type DnsLoad = {
  readonly port: number
  readonly queries: readonly Uint8Array[]
  readonly outstanding: number
  readonly ms: number
}
/** `delays` in ms, one per answer */
export type Answers = {
  readonly count: number
  readonly seconds: number
  readonly status: string
  readonly bytes: number
  readonly delays: readonly number[]
}

serveParent(
  {
    http: async (load: HttpLoad): Promise<Answers> => {
      const delays: number[] = []
      const seen = { status: '', bytes: 0 }
      const start = performance.now()
      const end = start + load.ms
      await Promise.all(
        Array.from({ length: load.connections }, (_, index) =>
          askHttp(load, index, end, delays, seen),
        ),
      )
      const seconds = (performance.now() - start) / 1_000
      return { count: delays.length, seconds, delays, ...seen }
    },

    dns: async ({ port, queries, outstanding, ms }: DnsLoad): Promise<Answers> => {
      const socket = createSocket('udp4')
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
      let [sent, count, bytes] = [0, 0, 0]
      const start = performance.now()
      const next = () =>
        socket.send(queries[sent++ % queries.length] as Uint8Array, port, '127.0.0.1')
      const done = Promise.withResolvers<void>()
      socket.on('message', (answer) => {
        count += 1
        bytes = answer.length
        if (performance.now() - start < ms) next()
        else if (count === sent) done.resolve()
      })
      for (let at = 0; at < outstanding; at++) next()
      // What is lost is not waited for.
      await Promise.race([done.promise, new Promise((resolve) => setTimeout(resolve, ms + 1_000))])
      socket.close()
      const seconds = Math.min(performance.now() - start, ms) / 1_000
      return { count, seconds, status: `${sent - count} lost`, bytes, delays: [] }
    },
  },
  async () => undefined,
)

/** One connection: sends the request, takes the answer by its Content-Length, sends it again. */
async function askHttp(
  { port, request, connections, perSecond }: HttpLoad,
  index: number,
  end: number,
  delays: number[],
  seen: { status: string; bytes: number },
): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  const everyMs = perSecond === null ? 0 : (1_000 * connections) / perSecond
  const first = performance.now() + (everyMs * index) / connections
  let missing = -1
  let asked = 0
  let due = first
  const over = Promise.withResolvers<void>()
  socket.on('close', () => over.resolve())
  socket.on('error', over.reject)
  const ask = () => {
    // Of a request that is late the waiting counts, too: it is the server that made it late.
    asked = perSecond === null ? performance.now() : due
    socket.write(request)
  }
  const next = () => {
    due += everyMs
    if (performance.now() >= end) return socket.destroy()
    const waitMs = due - performance.now()
    if (perSecond !== null && waitMs > 0) setTimeout(ask, waitMs)
    else ask()
  }
  socket.on('data', (bytes) => {
    let got = bytes.length
    if (missing < 0) {
      const head = bytes.indexOf('\r\n\r\n')
      const text = bytes.toString('latin1', 0, head)
      seen.status = text.slice(9, 12)
      const length = Number(/content-length: ([0-9]+)/i.exec(text)?.[1] ?? 0)
      seen.bytes = length
      missing = seen.status === '304' ? 0 : length
      got -= head + 4
    }
    missing -= got
    if (missing > 0) return
    missing = -1
    delays.push(performance.now() - asked)
    next()
  })
  setTimeout(ask, Math.max(0, first - performance.now()))
  await over.promise
}
