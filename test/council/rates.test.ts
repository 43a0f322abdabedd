import { expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { json, soon, startCouncil, type TestPeer } from '../support/council.ts'

it('takes posts in a row, then as many as the hour allows, says when to come again at any spoke, and loses none', async () => {
  // After the first four one in five seconds: a machine that takes longer for each would be slow indeed.
  await using council = await startCouncil({
    ...{ spokes: 3, limits: { blogBurst: 4, blogHourly: 720 } },
  })
  const [primary, other] = council.spokes as [TestPeer, TestPeer]
  const blog = await council.claim('maria', await makeSigner(), primary)
  const told = new Set<string>()
  for (let n = 0; n < 7; n++) {
    const signed = await blog.next(`post-${n}`)
    await soon(async () => {
      const answer = await other.post(signed.submission)
      if (answer.status === 429) {
        const { error } = json<{ error: { code: string; reason: string } }>(answer)
        expect(error.reason).toMatch(/send it again in \d+ seconds?\.$/)
        expect(answer.retryMs).toBeGreaterThanOrEqual(1_000)
        expect(answer.retryMs).toBeLessThanOrEqual(5_000)
        told.add(error.code)
      }
      expect(answer.status).toBe(201)
    })
    blog.entries.push(signed)
  }
  expect([...told]).toEqual(['RATE_LIMITED'])
  for (const spoke of council.spokes) await blog.whenWhole(spoke)
})
