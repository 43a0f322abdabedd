import { describe, expect, it } from 'vitest'
import type { BlogName } from '../../src/replication/log/entry.ts'
import { makeSigner, type SignedEntry } from '../support/author.ts'
import { json, soon, startCouncil, type TestPeer } from '../support/council.ts'

const failover = { silenceMs: 2_000, replaceAfterMs: 1_000 }
const offerOf = ({ entry, signature }: SignedEntry) => ({
  text: entry.text,
  signature: Buffer.from(signature),
})
const notice = 'Two versions were signed as entry 2 of this blog.'

describe('a primary that shows two histories', () => {
  it('is seen: the proof is on the page of the blog everywhere, until its author goes on; what was published stays', async () => {
    await using council = await startCouncil({ spokes: 5, replicas: 3, failover })
    const b = council.peer('b')
    const maria = await makeSigner()
    const blog = await council.claim('maria', maria, b)
    await blog.publish('before', b)
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
    const { secondary } = await council.roles('maria')
    const [, deceived] = secondary as [TestPeer, TestPeer]
    // The author has signed two, and the primary gives one of them to one secondary only.
    const shown = await blog.next('shown')
    const hidden = await blog.next('hidden')
    const { replicas } = deceived.exchange
    const kept = replicas.get('maria' as BlogName)
    if (kept === null) throw new Error('it is no replica')
    const { seq, id } = hidden.entry
    const taken = await replicas.take(kept, [offerOf(hidden)], { way: 'push', head: { seq, id } })
    expect(taken.kind).toBe('held')
    await soon(async () => expect((await b.post(shown.submission)).status).toBe(201))
    blog.entries.push(shown)

    const pageAt = async (spoke: TestPeer) => (await spoke.ask('/', blog.host)).body.toString()
    await soon(async () => {
      for (const spoke of council.spokes) expect(await pageAt(spoke)).toContain(notice)
    })
    for (const spoke of council.spokes) {
      const { forks } = json<{ forks: { seq: number; versions: { text: string }[] }[] }>(
        await spoke.ask('/forks.json', blog.host),
      )
      expect(forks).toMatchObject([{ seq: 2 }])
      const texts = forks[0]?.versions.map(({ text }) => text)
      expect(new Set(texts)).toEqual(
        new Set([shown, hidden].map(({ entry }) => Buffer.from(entry.text).toString())),
      )
    }
    // Readers see the version with w receipts, also where the other one was fetched first.
    for (const spoke of council.spokes.filter((each) => each !== deceived))
      await blog.whenWhole(spoke)
    // A spoke that was not there hears of it too, and so does one that is started anew.
    const late = await council.join('f')
    await deceived.stop()
    await deceived.start()
    for (const spoke of [late, deceived])
      await soon(async () => expect(await pageAt(spoke)).toContain(notice))

    // Without the primary that deceived, all go on from the version that was published.
    await council.cutOff('b', 'two histories')
    const others = council.spokes.filter((spoke) => spoke !== b)
    for (const spoke of others) await blog.whenWhole(spoke)
    await blog.publish('goes-on', others[0] as TestPeer)
    for (const spoke of others) await blog.whenWhole(spoke)
    await soon(async () => {
      for (const spoke of others) expect(await pageAt(spoke)).not.toContain(notice)
    })
    // The other version stays where anybody can read it.
    const file = await deceived.ask(`/log/2.txt?id=${hidden.entry.id}`, blog.host)
    expect(Buffer.compare(file.body, hidden.entry.text)).toBe(0)
  })

  it('is not what an author does who hands in two at the primary: she is told, nobody else', async () => {
    await using council = await startCouncil({ spokes: 3, replicas: 3, failover })
    const b = council.peer('b')
    const blog = await council.claim('maria', await makeSigner(), b)
    const [one, two] = [await blog.next('one'), await blog.next('two')]
    await soon(async () => expect((await b.post(one.submission)).status).toBe(201))
    expect((await b.post(two.submission)).status).toBe(409)
    blog.entries.push(one)
    await blog.publish('after', b)
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
    for (const spoke of council.spokes)
      expect(json(await spoke.ask('/forks.json', blog.host))).toEqual({ forks: [] })
  })
})
