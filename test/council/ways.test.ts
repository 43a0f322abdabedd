import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestBlog, type TestCouncil } from '../support/council.ts'

let council: TestCouncil
let blog: TestBlog

beforeAll(async () => {
  council = await startCouncil({ spokes: 3 })
  blog = await council.claim('maria', await makeSigner())
})
afterAll(() => council?.[Symbol.asyncDispose]())

describe('the ways of an entry', () => {
  const off = { gossip: false, push: false, pull: false }
  it.each([
    ['gossip', { ...off, gossip: true }],
    ['push', { ...off, push: true }],
    ['pull', { ...off, pull: true, pullMs: 200 }],
  ] as const)(
    '%s alone delivers a post to the secondaries, and it is published',
    async (way, on) => {
      await Promise.all(council.peers.map((peer) => peer.stop()))
      await Promise.all(council.peers.map((peer) => peer.start({ exchange: on })))
      await council.ready()
      const { primary, secondary } = await council.roles('maria')
      expect([primary, secondary].map((each) => each.length)).toEqual([1, 2])

      // Gossip is sent once: whoever does not listen yet misses it, and here nothing else brings it.
      const followers = async () =>
        (await primary[0]?.status())?.members.filter(({ follows }) => follows).length
      if (on.gossip) await soon(async () => expect(await followers()).toBe(2))
      const { entry } = await blog.publish(`by-${way}`, primary[0] ?? council.authority)
      await soon(async () => {
        for (const spoke of secondary) {
          expect((await blog.read(entry.seq, spoke)).equals(entry.text)).toBe(true)
          const none = { submit: 0, gossip: 0, push: 0, pull: 0 }
          expect((await spoke.status()).came).toEqual({ ...none, [way]: 1 })
        }
      })
    },
  )
})
