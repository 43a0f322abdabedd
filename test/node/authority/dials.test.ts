import { beforeEach, describe, expect, it } from 'vitest'
import { Watch } from '../../../src/node/authority/watch.ts'
import { createLogger } from '../../../src/node/logger.ts'
import { watchStandstill } from '../../../src/replication/clock.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import { Alive } from '../../../src/replication/exchange/alive.ts'
import type { Handler } from '../../../src/replication/network.ts'
import { ALIVE } from '../../../src/replication/protocol.ts'
import { answered, decodeDial } from '../../../src/replication/registry/dial.ts'
import { signHeartbeat } from '../../../src/replication/registry/heartbeat.ts'
import { signedRow } from '../../../src/replication/registry/proof.ts'
import { codeIn, TestPeer } from '../../replication/exchange/test-peer.ts'
import {
  must,
  peer,
  replica,
  settle,
  storeOf,
  TestClock,
  TestCouncil,
} from '../../replication/test-council.ts'

/** The authority, and one other member: nobody else could be asked. */
const council = new TestCouncil().admit(0, 1)
const silenceMs = 15_000

let authority: TestPeer
let clock: TestClock
let alive: Alive
/** whether the other member answers */
let answers: boolean
let serve: Handler
beforeEach(async () => {
  authority = await TestPeer.start(0, council)
  clock = authority.clock
  answers = false
  alive = new Alive({
    network: {
      self: peer(0).peer,
      connected: () => [],
      handle: (protocol: string, handler: Handler) => {
        if (protocol === ALIVE) serve = handler
      },
      // As on a real stream: what came in time is read behind the timer that ran out.
      request: (
        _to: string,
        _protocol: string,
        _body: unknown,
        { timeoutMs }: { timeoutMs: number },
      ) =>
        new Promise((resolve, reject) => {
          const late = () => reject(new ReplicationError('PEER_UNREACHABLE', 'no answer in time'))
          clock.after(timeoutMs, late)
          if (answers) clock.after(50, () => resolve({ beat: signedRow(beat()) }))
        }),
    } as never,
    ...{ signer: peer(0), storeId: () => storeOf(0), council: authority.council, clock, silenceMs },
    sync: authority.sync,
    vitals: async () => ({ freeBytes: 1e9, load: 0 }),
    fetchHello: async () => ({ ok: false, code: 'HELLO_UNREACHABLE', reason: '' }) as never,
    answered: () => undefined,
  })
  alive.start()
})

const beat = () =>
  signHeartbeat(peer(1), {
    ...{
      council: council.council,
      replica: replica(1),
      atMs: clock.now(),
      freeBytes: 1e9,
      load: 0,
    },
    ...{ roster: council.roster.head, names: null, mark: null, busy: [] },
  })

/** This process stands still, as after SIGSTOP: time passes, and then all timers are late. */
async function standStill(ms: number): Promise<void> {
  clock.ms += ms
  await clock.pass(0)
}

describe('watchStandstill', () => {
  it.each([
    ['runs', [], 0],
    ['stands still once', [4_000], 4_000],
    ['stands still again and again, for a moment each time', [900, 900, 900], 900],
  ] as const)('measures the longest time of a process that %s', async (_, times, longest) => {
    const time = new TestClock()
    const end = watchStandstill(time, 250)
    for (const ms of times) {
      await time.pass(1_000)
      time.ms += ms
      await time.pass(0)
    }
    await time.pass(1_000)
    const measured = end()
    expect(measured).toBeGreaterThan(longest - 251)
    expect(measured).toBeLessThanOrEqual(longest)
    expect(time.waiting).toBe(0)
  })
})

describe('Alive.dial', () => {
  /** Dials; `meanwhile` is what the process does until it has its answer or the time is over. */
  async function dial(meanwhile: () => Promise<void>): Promise<string | null> {
    const dialled = alive.dial(peer(1).peer)
    await settle()
    await meanwhile()
    const signed = await dialled
    return signed === null ? null : must(decodeDial(signed)).result
  }

  it('says that there was no answer', async () => {
    expect(await dial(() => clock.pass(3_000))).toBe('PEER_UNREACHABLE')
  })

  it.each([3_000, 4_000, 60_000])(
    'says nothing when there was none and its own process stood still for %i ms',
    async (ms) => {
      expect(await dial(() => standStill(ms))).toBeNull()
      // Later in the dial is no better.
      const later = async () => {
        await clock.pass(1_500)
        await standStill(ms)
      }
      expect(await dial(later)).toBeNull()
    },
  )

  it('counts for all that when its process was only slow', async () => {
    const slow = async () => {
      for (let n = 0; n < 4; n++) await standStill(800)
    }
    expect(await dial(slow)).toBe('PEER_UNREACHABLE')
  })

  it('takes an answer for one, also when it stood still', async () => {
    answers = true
    expect(await dial(() => clock.pass(3_000))).toBe(answered)
    expect(await dial(() => standStill(2_000))).toBe(answered)
  })

  it('says to the authority that asked for it that it has nothing to say', async () => {
    const asked = serve(peer(0).peer, { t: 'dial', peer: peer(1).peer })
    await settle()
    await standStill(5_000)
    expect(codeIn(await asked)).toBe('DIAL_STOOD_STILL')
  })
})

describe('Watch', () => {
  it('takes nobody out of DNS by a dial during which the authority itself stood still', async () => {
    const watch = new Watch({
      exchange: { alive, council: authority.council, tell: async () => undefined } as never,
      moves: { look: async () => undefined },
      holders: { look: async () => undefined },
      ...{ clock, silenceMs, log: createLogger('silent').forComponent('test') },
    })
    const isAway = () => authority.council.roster()?.members.get(peer(1).peer)?.away
    const look = async (meanwhile: () => Promise<void>) => {
      const looked = watch.look()
      await settle()
      await meanwhile()
      await looked
    }
    await clock.pass(silenceMs + 5_000)
    await look(() => standStill(3_500))
    expect(isAway()).toBe(false)
    await look(() => clock.pass(3_000))
    expect(isAway()).toBe(true)
  })
})
