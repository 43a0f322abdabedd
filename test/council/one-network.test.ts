import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestPeer, zone } from '../support/council.ts'

const pageAt = async (spoke: TestPeer, path = '/') =>
  (await spoke.ask(path, zone)).body.toString().replace(/<\/?mark>/g, '')
const coversOf = async (spoke: TestPeer) =>
  JSON.parse((await spoke.ask('/_council/status', zone)).body.toString()).covers

describe('the front page and the search of a council', () => {
  it('are the same at every spoke, whoever keeps the blogs', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 2, aggregators: ['b', 'c'] })
    const signer = await makeSigner()
    const maria = await council.claim('maria', signer, council.peer('a'))
    const jorge = await council.claim('jorge', signer, council.peer('d'))
    await maria.publish('assembly', council.peer('a'))
    await jorge.publish('square', council.peer('d'))
    for (const spoke of council.spokes) {
      await soon(async () => {
        const page = await pageAt(spoke)
        for (const slug of ['assembly', 'square'])
          expect([spoke.name, page]).toEqual([spoke.name, expect.stringContaining(`/${slug}"`)])
        expect(await coversOf(spoke)).toMatchObject({ kind: 'council', spokes: 4, of: 4, blogs: 2 })
      })
      await soon(async () => {
        expect(await pageAt(spoke, '/search?q=about+blog:jorge')).toContain('/square"')
        expect(await pageAt(spoke, '/blogs')).toContain('maria')
      })
    }
    // One that has just come shows it too, and holds none of it.
    const late = await council.join('e')
    const admittedMs = performance.now()
    await soon(async () => expect(await pageAt(late)).toContain('/assembly"'))
    expect(performance.now() - admittedMs).toBeLessThan(30_000)
    expect((await late.status()).blogs.filter(({ role }) => role !== 'none')).toEqual([])
    expect(await pageAt(late, '/search?q=about')).toContain('/square"')
  })
})
