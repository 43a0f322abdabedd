import { beforeEach, describe, expect, it } from 'vitest'
import { TestAuthor, TestLog } from '../test-author.ts'
import { replica, TestCouncil } from '../test-council.ts'
import { holdsIn, TestRing, textsOf } from './test-ring.ts'

const author = await TestAuthor.make('maria')
const council = new TestCouncil().admit(1, 2, 3, 4, 5)

let ring: TestRing
/** what everybody has published */
let maria: TestLog
beforeEach(async () => {
  ring = new TestRing(council)
  maria = await (await TestLog.begin(council.council, author, { blog: 'maria' })).posts(3)
  ring.know(maria)
})

const holds = holdsIn(() => ring)
const settled = () => ring.clock.pass(3_000)

describe('BlogGatherer, of two versions of a blog', () => {
  const fork = async (length: number) => {
    const other = maria.branch(length)
    await other.add({ kind: 'post', title: 'Written otherwise' })
    await other.posts(2)
    return other
  }

  it('keeps the one it has when the newest act fits it and no replica says otherwise', async () => {
    const other = await fork(3)
    await ring.source(2, [maria])
    const a = await ring.aggregator(1, [2])
    await holds(a, maria)
    await ring.source(4, [other])
    a.sources = [2, 4]
    a.gatherer.reconsider()
    await settled()
    expect(await a.texts(maria)).toEqual(textsOf(maria))
    expect(a.lies()).toEqual([])
    a.stop()
  })

  it('takes the one of the primary instead of what somebody else brought', async () => {
    const other = await fork(3)
    await ring.source(4, [other])
    const a = await ring.aggregator(5, [4])
    await holds(a, other)
    await ring.source(1, [maria])
    a.sources = [1, 4]
    a.gatherer.reconsider()
    await holds(a, maria)
    expect(a.said.at(-1)).toEqual(['maria', 0, 3])
    a.stop()
  })

  it('takes the word of a primary that lost its disk against its own of before', async () => {
    const other = await fork(3)
    await ring.source(1, [maria])
    const a = await ring.aggregator(5, [1])
    await holds(a, maria)
    await ring.source(1, [other])
    ring.cut(5, 1)
    await holds(a, other)
    expect(a.lies()).toEqual([])
    a.stop()
  })

  it('drops what the newest act contradicts, as after a loss that was accepted', async () => {
    await ring.source(4, [maria])
    const a = await ring.aggregator(5, [4])
    await holds(a, maria)
    const other = await fork(2)
    ring.know(maria, {
      ...{ epoch: 2, ends: 'ab'.repeat(32) as never, reason: 'loss accepted' },
      ...{ head: { seq: 2, id: other.at(2).entry.id }, replicas: [replica(1), replica(2)] },
    })
    await ring.source(3, [other])
    a.sources = [3, 4]
    a.gatherer.reconsider()
    await holds(a, other)
    // The one that still has the other version is behind, and no liar.
    await settled()
    expect(await a.texts(other)).toEqual(textsOf(other))
    expect(a.lies()).toEqual([])
    a.stop()
  })
})
