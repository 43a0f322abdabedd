import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSigner, type Signer } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'

let council: TestCouncil
let signer: Signer
let blog: TestBlog
let primary: TestPeer
let secondaries: TestPeer[]

beforeAll(async () => {
  council = await startCouncil({ spokes: 4, processes: true })
  signer = await makeSigner()
  primary = council.peer('b')
  blog = await council.claim('maria', signer, primary)
  secondaries = (await council.roles('maria')).secondary
  expect(secondaries).toHaveLength(2)
})
afterAll(() => council?.[Symbol.asyncDispose]())

const otherThan = (victim: TestPeer) => council.spokes.find((spoke) => spoke !== victim) as TestPeer

describe('kill -9', () => {
  it.each(['authority', 'primary', 'secondary'] as const)(
    'of the %s, and starting it again, loses nothing and needs no hand',
    async (which) => {
      const victim = { authority: council.authority, primary, secondary: secondaries.at(-1) }[which]
      if (victim === undefined) throw new Error('there is no secondary')
      const at = otherThan(victim)
      await blog.publish(`before-the-${which}`, at)
      const before = (await victim.status()).logs

      await victim.kill()
      for (const spoke of council.spokes) if (spoke.isRunning) await blog.whenWhole(spoke)
      if (which === 'primary') {
        const refused = await at.post((await blog.next('nobody-takes-it')).submission)
        expect(refused.status).toBe(503)
        expect(json<{ error: object }>(refused).error).toMatchObject({
          code: 'PRIMARY_UNREACHABLE',
          reason: expect.stringContaining('Nothing was stored; keep the signed text'),
        })
      } else await blog.publish(`without-the-${which}`, at)

      await victim.start()
      expect((await victim.status()).logs['@roster']).toMatchObject(before['@roster'] ?? {})
      await blog.publish(`after-the-${which}`, victim)
      for (const spoke of council.spokes) await blog.whenWhole(spoke)
      // All three copies count again.
      await soon(async () => {
        const again = await at.post((blog.entries.at(-1) ?? blog.genesis).submission)
        expect(json(again)).toMatchObject({ published: true, copies: 3 })
      })
    },
  )

  it('of a spoke right after it took a claim leaves the claim to go on', async () => {
    const spoke = council.peer('c')
    const clara = await council.sign('clara', signer)
    await clara.handIn(spoke)
    await spoke.kill()
    await spoke.start()
    await clara.whenReady(spoke)
    await clara.publish('still-here', spoke)
  })
})

describe('SIGSTOP of one secondary', () => {
  it('does not stop publishing, and it catches up when it goes on', async () => {
    const [stopped] = secondaries.filter((each) => each !== council.authority) as [TestPeer]
    stopped.signal('SIGSTOP')
    try {
      const signed = await blog.next('while-one-stands-still')
      await soon(async () => {
        const answer = await primary.post(signed.submission)
        expect([answer.status, json(answer)]).toMatchObject([201, { published: true, copies: 2 }])
      })
      blog.entries.push(signed)
    } finally {
      stopped.signal('SIGCONT')
    }
    await blog.whenWhole(stopped)
    await soon(async () => {
      const kept = (await stopped.status()).blogs.find((each) => each.blog === 'maria')
      expect(kept?.head?.id).toBe(blog.head.id)
    })
  })
})

describe('a claim', () => {
  it('that is handed in while the authority is down becomes ready when it is back', async () => {
    await council.authority.kill()
    const dora = await council.sign('dora', await makeSigner('Dora'))
    const at = council.peer('d')
    await dora.handIn(at)
    await soon(async () => {
      expect(await dora.claim(at)).toMatchObject({
        state: 'pending',
        steps: expect.arrayContaining([
          expect.objectContaining({ step: 'asked-authority', state: 'waiting' }),
        ]),
      })
    })
    await council.authority.start()
    await dora.whenReady(at)
    const { entry } = await dora.publish('patience', at)
    const kept = (await at.status()).blogs.find((each) => each.blog === 'dora')
    expect(kept).toMatchObject({ replicas: 3, published: entry.seq })
  })
})
