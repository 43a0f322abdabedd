import { createHash } from 'node:crypto'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { Level } from 'level'
import { createLibp2p, type Libp2p } from 'libp2p'
import { maxFrameBytes } from '../src/replication/protocol.ts'
import { serveParent } from './child.ts'
import { spentCpu } from './figures.ts'

/**
 * One end of a bare libp2p stream: pages of entries in length prefixes, a SHA-256 chain check, one
 * synced Level batch a page, and nothing else. A page is text, 4 bytes of its length, signature, 4
 * bytes of its length, and so on.
 */
const protocol = '/council-bench/bare/1'
/** The sender waits for nobody, so what is not written yet gathers at the receiver. */
const frameOptions = { maxDataLength: maxFrameBytes, maxBufferSize: 64 * 1024 * 1024 }
let host: Libp2p | null = null
let disk: Level<string, Uint8Array> | null = null
let pages: readonly Uint8Array[] = []

serveParent(
  {
    start: async (folder: string) => {
      disk = new Level(folder, { valueEncoding: 'view' })
      await disk.open()
      host = await createLibp2p({
        addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
      })
      await host.handle(protocol, async (stream) => {
        const frames = lpStream(stream, frameOptions)
        for (const page of pages) await frames.write(page)
        await stream.close()
      })
      return host.getMultiaddrs().map(String)[0]
    },

    /** The pages that whoever opens a stream gets. */
    hold: async (given: readonly Uint8Array[]) => {
      pages = given
    },

    connect: async (address: string) => {
      await host?.dial(multiaddr(address))
    },

    /** @returns how many entries are on disk, their chain checked */
    fetch: async ({ address, count, prev }: { address: string; count: number; prev: string }) => {
      const stream = await (host as Libp2p).dialProtocol(multiaddr(address), protocol)
      const frames = lpStream(stream, frameOptions)
      let seq = 0
      for (let last = prev; seq < count; ) {
        const page = (await frames.read()).subarray()
        const rows = splitPage(page)
        const writes = rows.map(({ text, row }) => {
          if (!text.includes(`\nprev ${last}\n`)) throw new Error(`entry ${seq} has another prev`)
          last = createHash('sha256').update(text).digest('hex')
          const key = `entry/maria/${String(seq++).padStart(16, '0')}`
          return { type: 'put', key, value: row } as const
        })
        await disk?.batch(writes, { sync: true })
      }
      return seq
    },

    cpu: async () => spentCpu(),
  },
  async () => {
    await host?.stop()
    await disk?.close()
  },
)

function splitPage(page: Uint8Array): { text: Buffer; row: Uint8Array }[] {
  const view = Buffer.from(page.buffer, page.byteOffset, page.length)
  const rows: { text: Buffer; row: Uint8Array }[] = []
  for (let at = 0; at < view.length; ) {
    const textEnd = at + 4 + view.readUInt32BE(at)
    const end = textEnd + 4 + view.readUInt32BE(textEnd)
    rows.push({ text: view.subarray(at + 4, textEnd), row: view.subarray(at, end) })
    at = end
  }
  return rows
}
