import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Signed } from '../src/replication/log/text.ts'
import type { Child } from './child.ts'
import { Council, pause } from './council.ts'
import { quantile, type Result } from './figures.ts'

const posts = 300
/** Posts before the clock counts: connections, topics and compiled code settle. */
const warmUp = 20
/** Between two posts, so that each finds idle spokes, ms. */
const pauseMs = 10
/** What has not arrived after this time is lost, ms. */
const lostMs = 5_000
const blog = 'maria'

/**
 * A post from `submit` at the primary until it can be read at the secondary, against gossipsub's own
 * delivery between the same two processes: other hosts of the same settings, a plain topic, messages
 * of the same size. One after the other, in turns.
 */
export async function benchLive(): Promise<Result> {
  await using council = await Council.start({ gossip: true, push: true, pull: true }, ['a', 'b'])
  const { primary, secondaries } = council
  const secondary = secondaries[0] as Child
  const log = await council.claim(blog)
  const entries = await log.next(warmUp + posts)
  const address = await primary.ask<string>('plainStart', join(council.folder, 'plain-a'))
  await secondary.ask('plainStart', join(council.folder, 'plain-b'))
  await secondary.ask('plainDial', address)
  // Gossipsub grafts a topic's mesh once a second.
  await pause(2_500)
  const ours: number[] = []
  const plain: number[] = []
  for (const entry of entries) {
    const message = randomBytes(messageBytes(entry))
    const alone = await delay(secondary, () => primary.ask('plainPublish', message))
    await pause(pauseMs)
    const whole = await delay(secondary, () => primary.ask('submit', entry))
    await pause(pauseMs)
    if (whole === null) throw new Error('a post did not arrive')
    // Nothing of gossipsub's own sends a lost message again: such a turn counts for neither side.
    if (alone === null) await secondary.ask('plainDial', address)
    else {
      plain.push(alone)
      ours.push(whole)
    }
  }
  return summarize(plain.slice(warmUp), ours.slice(warmUp))
}

/** Text, signature, and what CBOR and the names of the fields add. */
const messageBytes = ({ text, signature }: Signed) => text.length + signature.length + 40

/** @returns ms from what `send` answers until it arrived; null when it did not */
async function delay(receiver: Child, send: () => Promise<bigint>): Promise<number | null> {
  await receiver.ask('watch')
  const arrived = receiver.ask<bigint>('arrived')
  const [start, end] = await Promise.all([
    send(),
    Promise.race([arrived, pause(lostMs).then(() => null)]),
  ])
  return end === null ? null : Number(end - start) / 1e6
}

function summarize(plain: readonly number[], ours: readonly number[]): Result {
  const line = (delays: readonly number[]) =>
    `p50 ${quantile(delays, 0.5).toFixed(2)} ms, p99 ${quantile(delays, 0.99).toFixed(2)} ms`
  return {
    name: `live: ${ours.length} posts of 1 KB, submit at the primary → readable at the secondary`,
    lines: [
      `ours      ${line(ours)}`,
      `gossipsub ${line(plain)}, ${posts - plain.length} messages lost`,
    ],
    ratio: quantile(ours, 0.5) / quantile(plain, 0.5),
    wanted: 'most',
    target: 3,
  }
}
