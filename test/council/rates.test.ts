import { expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { json, soon, startCouncil, type TestPeer } from '../support/council.ts'

it('takes posts in a row, then as many as the hour allows, says when to come again at any spoke, and loses none', async () => {
  // A post a second after the first four.
  await using council = await startCouncil({
    ...{ spokes: 3, limits: { blogBurst: 4, blogHourly: 3_600 } },
  })
  const [primary, other] = council.spokes as [TestPeer, TestPeer]
  const blog = await council.claim('maria', await makeSigner(), primary)
  const told = new Set<string>()
  for (let n = 0; n < 8; n++) {
    const signed = await blog.next(`post-${n}`)
    await soon(async () => {
      const answer = await other.post(signed.submission)
      if (answer.status === 429) {
        const { error } = json<{ error: { code: string; reason: string } }>(answer)
        expect(error.reason).toMatch(/send it again in \d+ seconds?\.$/)
        told.add(`${error.code} ${answer.retryMs}`)
      }
      expect(answer.status).toBe(201)
    })
    blog.entries.push(signed)
  }
  expect([...told]).toEqual(['RATE_LIMITED 1000'])
  for (const spoke of council.spokes) await blog.whenWhole(spoke)
})
