import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, it } from 'vitest'
import { decodeEntry } from '../../src/replication/log/entry.ts'
import type { LogStore } from '../../src/replication/log/store.ts'
import { forge, must } from '../replication/test-council.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestBlog, type TestPeer, zone } from '../support/council.ts'

const keyOf = (seq: number) => `entry/maria/${String(seq).padStart(16, '0')}`
/** A word of every post, and what an administrator makes of it. */
const word = 'hello'
const lie = 'hallo'

async function alter(store: LogStore, seq: number): Promise<void> {
  const stored = await store.entry('maria', seq)
  if (stored === null) throw new Error(`entry ${seq} is not there`)
  const item = must(decodeEntry(stored.text))
  const text = forge(stored.text, word, lie)
  await store.write([store.putEntry(item, { ...stored, text })])
}

const yearOf = ({ dateMs }: { dateMs: number }) => new Date(dateMs).getUTCFullYear()

/** What readers at a spoke can see of the blog, but for its signatures. */
async function readAll(at: TestPeer, blog: TestBlog): Promise<string> {
  const paths = ['/', '/feed.atom', '/log.json', ...blog.entries.map((_, seq) => `/log/${seq}.txt`)]
  const posts = blog.entries.slice(1).map(({ entry }, at) => `/${yearOf(entry)}/${word}-${at}`)
  const answers = await Promise.all([...paths, ...posts].map((path) => at.ask(path, blog.host)))
  return answers.map(({ body }) => body.toString()).join('\n')
}

describe('a spoke on whose disk somebody alters and deletes entries', () => {
  it('shows nobody what was altered, gives it to nobody, and heals by itself', async () => {
    await using council = await startCouncil({ spokes: 3 })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    for (let n = 0; n < 6; n++) await blog.publish(`${word}-${n}`, council.peer('b'))
    for (const spoke of council.spokes) await blog.whenWhole(spoke)

    // While it runs: every replica in turn, the primary too.
    for (const spoke of council.spokes) {
      const { store } = spoke.exchange
      await alter(store, 2)
      await alter(store, 6)
      await store.write([store.deleteEntry('maria', 3), store.deleteEntry('maria', 4)])
      await store.write([{ type: 'put', key: keyOf(5), value: Buffer.from([0xff]) }])
      expect(await readAll(spoke, blog)).not.toContain(lie)
      await soon(async () => {
        expect((await spoke.status()).scrub).toMatchObject({ damaged: 5, healed: 5, now: [] })
      })
      await blog.whenWhole(spoke)
    }

    // While it is stopped: an entry, the genesis, and the record of the log itself.
    for (const spoke of council.spokes.slice(1)) {
      await spoke.stop()
      const disk = new Level<string, Uint8Array>(join(spoke.folder, 'data', 'store'), {
        valueEncoding: 'view',
      })
      await disk.open()
      const value = (await disk.get(keyOf(4))) as Uint8Array
      await disk.put(keyOf(4), forge(value, word, lie))
      await disk.del(keyOf(spoke.name === 'b' ? 0 : 1))
      const act = 'entry/@roster/0000000000000001'
      await disk.put(act, forge((await disk.get(act)) as Uint8Array, 'Group', 'Grupo'))
      if (spoke.name === 'c') await disk.put('log/maria', Buffer.from([1, 2, 3]))
      await disk.close()
      await spoke.start()
      expect(await readAll(spoke, blog)).not.toContain(lie)
      await blog.whenWhole(spoke)
      await soon(async () => {
        const { blogs, scrub } = await spoke.status()
        expect(scrub.now).toEqual([])
        expect((await spoke.ask('/acts', zone)).body.toString()).not.toContain('Grupo')
        expect(blogs[0]).toMatchObject({ blog: 'maria', published: 6 })
      })
    }
    await blog.publish('after', council.peer('c'))
    for (const spoke of council.spokes) {
      await blog.whenWhole(spoke)
      const page = await spoke.ask('/', `maria.${zone}`)
      expect(page.body.toString()).toContain('after')
    }
  })
})
