import { decode } from 'cborg'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Item } from '../../../src/replication/log/log.ts'
import { LogStore } from '../../../src/replication/log/store.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import { fakeId, forge, peer, settle, startMs, storeOf, TestDisk } from '../test-council.ts'

const item = (log: string, seq: number, text = `${log} ${seq}`): Item => ({
  ...{ log, seq, council: 'c', prev: null, id: fakeId('ab'), dateMs: startMs },
  text: Buffer.from(text),
})
const stored = (each: Item) => ({
  ...{ text: each.text, signature: Buffer.from('signature'), checked: true, firstMs: startMs },
  receipts: [{ text: Buffer.from('receipt'), signature: Buffer.from('by') }],
})

describe('LogStore', () => {
  let disk: TestDisk
  beforeEach(() => {
    disk = new TestDisk()
  })
  const put = (...items: Item[]) =>
    disk.store.write(items.map((each) => disk.store.putEntry(each, stored(each))))
  const texts = async (log: string, from: number, limit = 100) =>
    (await disk.store.entries(log, from, limit)).map(({ text }) => Buffer.from(text).toString())

  it('gives back what was written, receipts included', async () => {
    const entry = item('maria', 0)
    await put(entry)
    expect(await disk.store.entry('maria', 0)).toEqual({
      ...stored(entry),
      text: new Uint8Array(entry.text),
      signature: new Uint8Array(Buffer.from('signature')),
      receipts: [
        {
          text: new Uint8Array(Buffer.from('receipt')),
          signature: new Uint8Array(Buffer.from('by')),
        },
      ],
    })
    expect(await disk.store.entry('maria', 1)).toBeNull()
  })

  it('reads a row as any decoder of CBOR does, whatever was altered in it', async () => {
    const { level } = disk
    const bytes = fc.uint8Array({ maxLength: 40 })
    const row = fc.record({
      text: bytes,
      signature: bytes,
      checked: fc.boolean(),
      firstMs: fc.nat(),
      isAnswered: fc.boolean(),
      alter: fc.option(fc.record({ at: fc.nat(120), to: fc.nat(255) })),
      keep: fc.option(fc.nat(120)),
    })
    await fc.assert(
      fc.asyncProperty(row, async ({ isAnswered, alter, keep, ...each }) => {
        const receipts = isAnswered ? [{ text: each.text, signature: each.signature }] : []
        const put = disk.store.putEntry(item('maria', 0), { ...each, receipts })
        const value = new Uint8Array((put as { value: Uint8Array }).value)
        if (alter !== null && alter.at < value.length) value[alter.at] = alter.to
        await level.put(put.key, keep === null ? value : value.slice(0, keep))
        const [read] = await disk.store.rows('maria', 0, 1)
        const stored = read?.stored ?? null
        const known = decoded((await level.get(put.key)) as Uint8Array)
        const { text, signature, checked, firstMs } = stored ?? {}
        expect([text, signature, checked, firstMs, stored?.receipts.length]).toEqual(known)
      }),
      { numRuns: 1_000 },
    )
  })

  /** A row's parts by the decoder alone; none where it is no row. */
  function decoded(value: Uint8Array): unknown[] {
    const none = Array.from({ length: 5 })
    try {
      const row = decode(value) as unknown[]
      const [text, signature, checked, firstMs, receipts] = Array.isArray(row) ? row : []
      const areBytes = [text, signature].every((each) => each instanceof Uint8Array)
      if (!areBytes || typeof firstMs !== 'number' || !Array.isArray(receipts)) return none
      if (!receipts.every((each) => Array.isArray(each) && each[0] instanceof Uint8Array))
        return none
      return receipts.every((each) => each[1] instanceof Uint8Array)
        ? [text, signature, checked === 1, firstMs, receipts.length]
        : none
    } catch {
      return none
    }
  }

  /** A log of `count` items, each of which names the one before it. */
  const chain = (log: string, count: number): Item[] => {
    const items: Item[] = []
    for (let seq = 0; seq < count; seq++) {
      const prev = items.at(-1)?.id ?? null
      const text = `${log} ${seq}${prev === null ? '' : `\nprev ${prev}`}`
      items.push({ ...item(log, seq, text), prev, id: idOf(Buffer.from(text)) })
    }
    return items
  }
  const firstLines = async (log: string, from: number, limit = 100) =>
    (await texts(log, from, limit)).map((text) => text.split('\n')[0])

  it('reads ranges in the order of seqs, never of another log', async () => {
    await put(...chain('maria', 101), ...chain('maria-2', 1), ...chain('mari', 1))
    expect((await firstLines('maria', 2)).slice(0, 2)).toEqual(['maria 2', 'maria 3'])
    expect(await firstLines('maria', 99)).toEqual(['maria 99', 'maria 100'])
    expect(await firstLines('maria', 9, 2)).toEqual(['maria 9', 'maria 10'])
    expect(await firstLines('mari', 0)).toEqual(['mari 0'])
  })

  it.each<[string, (items: Item[]) => Promise<void>, number]>([
    ['is missing', () => disk.level.del('entry/maria/0000000000000003'), 2],
    [
      'does not decode',
      () => disk.level.put('entry/maria/0000000000000003', Buffer.from([0xff])),
      2,
    ],
    [
      'has another text',
      (items) =>
        put({ ...(items[3] as Item), text: forge((items[3] as Item).text, 'maria', 'Maria') }),
      3,
    ],
    [
      'names another one before it',
      (items) => put({ ...(items[3] as Item), text: Buffer.from(`maria 3\nprev ${fakeId('00')}`) }),
      2,
    ],
    [
      'is the last and has another text',
      (items) =>
        put({ ...(items[5] as Item), text: forge((items[5] as Item).text, 'maria', 'Maria') }),
      5,
    ],
    ['is the last and missing', () => disk.level.del('entry/maria/0000000000000005'), 4],
  ])('ends a range before an entry that %s, and says where', async (_, damage, end) => {
    const items = chain('maria', 6)
    await put(...items)
    const { id } = items[5] as Item
    const record = { head: { seq: 5, id }, dateMs: 0, follows: 1, keys: [0], bytes: 0 }
    const rest = { uncheckedFrom: null, saved: null }
    await disk.store.write([disk.store.putRecord('maria', { ...record, ...rest })])
    const heard: number[] = []
    disk.store.onDamaged((_log, seq) => heard.push(seq))
    await damage(items)
    expect(await firstLines('maria', 0)).toHaveLength(end)
    expect(heard).toEqual([end])
    expect((await firstLines('maria', 0, 2)).length).toBe(2)
  })

  it('gives back the record of each log it holds', async () => {
    const record = {
      ...{ head: { seq: 0, id: fakeId('ab') }, dateMs: startMs, follows: 1, keys: [0] },
      ...{ bytes: 1_000, uncheckedFrom: null, saved: { currentSeq: 0, pending: null } },
    }
    await disk.store.write(['maria', '@names'].map((log) => disk.store.putRecord(log, record)))
    expect(await disk.store.record('maria')).toEqual(record)
    expect(await disk.store.record('joe')).toBeNull()
  })

  it('keeps what lies aside apart from the log', async () => {
    const aside = item('maria', 3)
    const kept = { item: aside, signature: Buffer.from('s'), firstMs: startMs }
    await disk.store.write(await disk.store.putAside('maria', [kept]))
    expect(await disk.store.entry('maria', 3)).toBeNull()
    expect(await disk.store.aside('maria')).toHaveLength(1)
    expect(await disk.store.asideById('maria', 3, aside.id)).not.toBeNull()
    expect(await disk.store.asideById('maria', 3, fakeId('cd'))).toBeNull()
  })

  it('keeps one receipt per act, peer and store', async () => {
    const row = (text: string) => ({ text: Buffer.from(text), signature: Buffer.from('s') })
    const { store } = disk
    await store.write([
      store.putReceipt('maria', fakeId('aa'), peer(1).peer, storeOf(1), row('old')),
      store.putReceipt('maria', fakeId('aa'), peer(1).peer, storeOf(1), row('new')),
      store.putReceipt('maria', fakeId('aa'), peer(1).peer, storeOf(2), row('other store')),
      store.putReceipt('maria', fakeId('bb'), peer(1).peer, storeOf(1), row('other act')),
    ])
    const held = await store.receipts('maria', fakeId('aa'))
    expect(held.map(({ text }) => Buffer.from(text).toString())).toEqual(['new', 'other store'])
  })

  it('reads values by prefix, from a key on, with a limit', async () => {
    const { store } = disk
    await store.write(['a/1', 'a/2', 'a/3', 'b/1'].map((key) => store.putValue(key, { key })))
    expect((await store.values('a/')).map(([key]) => key)).toEqual(['a/1', 'a/2', 'a/3'])
    expect((await store.valuesFrom('a/2', 'a/', 1)).map(([key]) => key)).toEqual(['a/2'])
  })

  it('says so when the disk takes no write', async () => {
    disk.fails = true
    await expect(put(item('maria', 0))).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
  })

  describe('while a write is being synced', () => {
    /** A store that tells how many keys each batch of its disk had; the first one waits for `goOn`. */
    const slowly = () => {
      const sizes: number[] = []
      const first = Promise.withResolvers<void>()
      const store = new LogStore({
        ...disk.disk,
        batch: async (operations, options) => {
          sizes.push(operations.length)
          if (sizes.length === 1) await first.promise
          if (operations.some(({ key }) => key === 'refused'))
            throw Object.assign(new Error('full'), { code: 'DISK_FULL' })
          await disk.disk.batch(operations, options)
        },
      })
      const write = (key: string, value: number = 1) => store.write([store.putValue(key, value)])
      return { store, sizes, write, goOn: first.resolve }
    }

    it('takes what comes meanwhile together, in its order', async () => {
      const { store, sizes, write, goOn } = slowly()
      const writes = [write('a'), write('b', 1), write('c'), write('b', 2)]
      goOn()
      await Promise.all(writes)
      expect(sizes).toEqual([1, 3])
      expect(await store.value('b')).toBe(2)
    })

    it('says of none that it is written before the disk has synced it', async () => {
      const { store, write, goOn } = slowly()
      const done: string[] = []
      const writes = ['a', 'b'].map((key) => write(key).then(() => done.push(key)))
      await settle()
      expect(done).toEqual([])
      expect(await store.value('a')).toBeUndefined()
      goOn()
      await Promise.all(writes)
      expect(await store.value('b')).toBe(1)
    })

    it('writes the others where one of them is refused', async () => {
      const { store, write, goOn } = slowly()
      const before = write('a')
      const refused = write('refused')
      const others = [write('b'), write('c')]
      goOn()
      await expect(refused).rejects.toMatchObject({ code: 'DISK_FULL' })
      await Promise.all([before, ...others])
      expect([await store.value('b'), await store.value('c')]).toEqual([1, 1])
      expect(await store.value('refused')).toBeUndefined()
    })
  })

  it('says so when a value on disk is damaged', async () => {
    await disk.level.put('log/maria', Buffer.from([0xff, 0x00]))
    await expect(disk.store.record('maria')).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  })
})
