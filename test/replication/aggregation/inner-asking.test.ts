import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import {
  besideMs,
  InnerAsking,
  maxAskedAtOnce,
  peerSearchMs,
  turnMs,
} from '../../../src/replication/aggregation/inner-asking.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import { type Network, refusalAnswer } from '../../../src/replication/network.ts'
import { peer, settle, TestClock } from '../test-council.ts'

const [self, first, second] = [peer(1).peer, peer(2).peer, peer(3).peer]
type Answering = (clock: TestClock) => Promise<unknown>
const good: Answering = async () => 'good'
/** Never an answer: the question ends as the network ends it. */
const hangs: Answering = (clock) =>
  new Promise((_, reject) => {
    clock.after(peerSearchMs, () => reject(new ReplicationError('PEER_UNREACHABLE', 'no answer')))
  })

type Take = (value: string) => Promise<{ good: string } | string>
function askingWith(peers: Record<string, Answering>, check?: Take) {
  const clock = new TestClock()
  const asked: PeerName[] = []
  const network = {
    self,
    request: async (to: PeerName) => {
      asked.push(to)
      return await (peers[to] as Answering)(clock)
    },
    connected: () => [],
  } as unknown as Network
  const inner = () => [self, ...(Object.keys(peers) as PeerName[])]
  const asking = new InnerAsking({ network, clock, inner, report: () => undefined })
  const ask = (from: PeerName | null = null) =>
    asking.ask({
      ...{ body: {}, shape: z.string(), first: from },
      take: async (_, value) =>
        check !== undefined ? check(value) : value === 'lie' ? 'it lies' : { good: value },
    })
  return { clock, asked, ask, peers }
}

describe('InnerAsking', () => {
  it('asks a peer a few questions at once and shares the others out', async () => {
    const { asked, ask, clock } = askingWith({ [first]: hangs, [second]: hangs })
    const answers = Array.from({ length: 40 }, () => ask())
    await settle()
    expect(asked.filter((to) => to === first)).toHaveLength(maxAskedAtOnce)
    expect(asked.filter((to) => to === second)).toHaveLength(maxAskedAtOnce)
    await clock.pass(peerSearchMs)
    await clock.pass(peerSearchMs)
    // Who waits for one that says nothing does not wait on.
    expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(Array(40).fill('none'))
  })

  it('tells those whose turn does not come to come back', async () => {
    const slow: Answering = (clock) =>
      new Promise((resolve) => clock.after(peerSearchMs - 1, () => resolve('good')))
    const { ask, clock } = askingWith({ [first]: slow })
    const answers = Array.from({ length: 40 }, () => ask())
    await settle()
    for (let ms = 0; ms <= turnMs + peerSearchMs; ms += 100) await clock.pass(100)
    const kinds = (await Promise.all(answers)).map(({ kind }) => kind)
    expect(new Set(kinds)).toEqual(new Set(['answer', 'busy']))
    expect(kinds.filter((kind) => kind === 'answer').length).toBeGreaterThanOrEqual(
      4 * maxAskedAtOnce,
    )
  })

  it('takes a peer that answers others meanwhile for busy, one that answers nobody for silent', async () => {
    const { ask, clock, peers } = askingWith({ [first]: good })
    expect(await ask()).toMatchObject({ kind: 'answer', peer: first })
    peers[first] = hangs
    const soonAfter = ask()
    await settle()
    await clock.pass(peerSearchMs)
    expect(await soonAfter).toEqual({ kind: 'none', why: ['silent'] })
    const late = ask()
    await settle()
    await clock.pass(peerSearchMs - 1)
    peers[first] = good
    expect(await ask()).toMatchObject({ kind: 'answer' })
    await clock.pass(1)
    expect(await late).toEqual({ kind: 'busy' })
  })

  it('asks another peer beside one that says nothing, and soon that one first', async () => {
    const { ask, asked, clock } = askingWith({ [first]: hangs, [second]: good })
    const answer = ask(first)
    await settle()
    await clock.pass(besideMs - 1)
    expect(asked).toEqual([first])
    await clock.pass(1)
    expect(await answer).toMatchObject({ kind: 'answer', peer: second })
    expect(await ask(first)).toMatchObject({ kind: 'answer', peer: second })
    expect(asked).toEqual([first, second, second])
  })

  it('asks nobody beside it who has enough to do', async () => {
    const { ask, asked, clock } = askingWith({ [first]: hangs, [second]: hangs })
    for (let n = 0; n < 2 * maxAskedAtOnce; n++) void ask()
    await settle()
    await clock.pass(peerSearchMs - 1)
    expect(asked).toHaveLength(2 * maxAskedAtOnce)
  })

  it('asks beside it one that has time, though a better one has none', async () => {
    const third = peer(4).peer
    const slow: Answering = (clock) =>
      new Promise((resolve) => clock.after(peerSearchMs - 1, () => resolve('good')))
    const { ask, asked, clock, peers } = askingWith({
      ...{ [first]: good, [second]: good, [third]: async () => 'lie' },
    })
    await ask(third)
    Object.assign(peers, { [first]: slow, [second]: slow, [third]: good })
    const before = asked.length
    const wished = ask(first)
    for (let n = 0; n < maxAskedAtOnce; n++) void ask(second)
    await settle()
    await clock.pass(besideMs)
    expect(await wished).toMatchObject({ kind: 'answer', peer: third })
    expect(asked.slice(before, before + 2 + maxAskedAtOnce)).toEqual([
      ...[first, ...Array(maxAskedAtOnce).fill(second), third],
    ])
  })

  it('does not hold against a peer what the check here takes', async () => {
    let isSlow = true
    const { ask, asked, clock } = askingWith({ [first]: good, [second]: good }, (value) =>
      isSlow
        ? new Promise((resolve) => clock.after(5 * besideMs, () => resolve({ good: value })))
        : Promise.resolve({ good: value }),
    )
    const answer = ask(first)
    await settle()
    await clock.pass(5 * besideMs)
    expect(await answer).toMatchObject({ kind: 'answer', peer: first })
    isSlow = false
    await ask(first)
    expect(asked).toEqual([first, first])
  })

  it('checks no answer that comes when there is one', async () => {
    const slow: Answering = (clock) =>
      new Promise((resolve) => clock.after(besideMs + 100, () => resolve('late')))
    const checked: string[] = []
    const { ask, clock } = askingWith({ [first]: slow, [second]: good }, async (value) => {
      checked.push(value)
      return { good: value }
    })
    const answer = ask(first)
    await settle()
    await clock.pass(besideMs + 200)
    expect(await answer).toMatchObject({ kind: 'answer', peer: second })
    expect(checked).toEqual(['good'])
  })

  it('fails once where the check fails, and asks nobody else then', async () => {
    const { ask, asked, clock } = askingWith({ [first]: good, [second]: good }, async () => {
      throw new Error('the disk')
    })
    await expect(ask(first)).rejects.toThrow('the disk')
    await clock.pass(besideMs)
    expect(asked).toEqual([first])
    expect(clock.waiting).toBe(0)
  })

  it('says that nobody answers, to all who ask, in little more than a second', async () => {
    const third = peer(4).peer
    const { ask, clock } = askingWith({ [first]: hangs, [second]: hangs, [third]: hangs })
    for (let round = 0; round < 3; round++) {
      const answers = Array.from({ length: 1 + round * 20 }, () => ask())
      await settle()
      for (let ms = 0; ms < 1_500; ms += 50) await clock.pass(50)
      const kinds = await Promise.race([Promise.all(answers), settle().then(() => [])])
      expect(new Set(kinds.map(({ kind }) => kind))).toEqual(new Set(['none']))
      expect(kinds).toHaveLength(answers.length)
    }
  })

  it('asks the wished one first, unless it was silent just now or has lied', async () => {
    const { ask, asked, clock, peers } = askingWith({ [first]: good, [second]: good })
    await ask(second)
    peers[second] = async () => {
      throw new ReplicationError('PEER_UNREACHABLE', 'no answer')
    }
    await ask(second)
    await ask(second)
    expect(asked).toEqual([second, second, first, first])
    await clock.pass(60_000)
    peers[second] = async () => 'lie'
    await ask(second)
    await clock.pass(60_000)
    await ask(second)
    expect(asked.slice(4)).toEqual([second, first, first])
  })

  it('does not wait long for a peer that is always busy', async () => {
    const busy = refusalAnswer({ code: 'RATE_LIMITED', reason: 'No.', retryMs: 86_400_000 })
    const { ask } = askingWith({ [first]: async () => busy, [second]: good })
    expect(await ask()).toMatchObject({ kind: 'answer', peer: second })
  })
})
