import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EntryId } from '../../src/replication/log/text.ts'
import { soon, startCouncil, type TestCouncil, zone } from '../support/council.ts'
import { GpgHome } from '../support/gpg.ts'
import { randomOf } from '../support/simulation/random.ts'
import { check, earlyAway, unrest } from './checker.ts'
import { Writer } from './writer.ts'

// A run is believed when the checker finds nothing: so it must find each of these.
describe.skipIf(!GpgHome.isInstalled)('the checker of a torture run', () => {
  let council: TestCouncil
  let gpg: GpgHome
  let writer: Writer
  const signal = AbortSignal.timeout(60_000)
  const places = () => council.spokes.map(({ name, url }) => ({ name, url }))
  const look = () =>
    check([writer], places(), { zone, folder: `${gpg.dir}/exports`, silenceMs: 15_000 })

  beforeAll(async () => {
    gpg = new GpgHome()
    council = await startCouncil({ spokes: 3 })
    const spokes = council.spokes.map(({ url }) => url)
    writer = await Writer.open({
      ...{ name: 'maria', council: council.id, gpg, spokes },
      ...{ random: randomOf(1, 'maria'), pauseMs: 0 },
    })
    await writer.claim(0, signal)
    for (let post = 0; post < 3; post++) await writer.publishOne(signal)
  })
  afterAll(async () => {
    await council?.[Symbol.asyncDispose]()
    gpg?.[Symbol.dispose]()
  })

  it('finds nothing where nothing is wrong', async () => {
    await soon(async () => expect(await unrest([writer], places())).toBeNull())
    expect(await look()).toEqual({
      ...{ lost: [], invented: [], forked: [], broken: [], replicas: 3, entries: 12 },
    })
  })

  it('finds an entry that was called published and is nowhere', async () => {
    const [last] = writer.published.slice(-1)
    if (last === undefined) throw new Error('nothing was published')
    writer.published.push({ ...last, seq: 4 })
    expect((await look()).lost).toHaveLength(3)
    writer.published.pop()
  })

  it('finds two texts that were called published under one number', async () => {
    const [last] = writer.published.slice(-1)
    if (last === undefined) throw new Error('nothing was published')
    writer.published.push({ ...last, id: '0'.repeat(64) as EntryId })
    expect((await look()).forked).toHaveLength(1)
    writer.published.pop()
  })

  it('finds an entry that the author never signed', async () => {
    const [id, kept] = [...writer.signed].at(-1) ?? []
    if (id === undefined || kept === undefined) throw new Error('nothing was signed')
    writer.signed.delete(id)
    expect((await look()).invented).toHaveLength(3)
    writer.signed.set(id, kept)
  })

  it('finds a replica that is behind, and one that lacks', async () => {
    const last = council.peer('c')
    await last.stop()
    expect(await unrest([writer], places())).toContain('maria: ')
    await last.start()
    await soon(async () => expect(await unrest([writer], places())).toBeNull())
  })
})

describe('earlyAway', () => {
  const dial = (by: string, at: string, result = 'PEER_UNREACHABLE') =>
    `${by} dialled at 2026-11-26T05:00:${at}Z: ${result}`
  /** An act of 05:00:<at>, about a spoke that was heard last at 05:00:00; the silence is 15 s. */
  const away = (
    at: string,
    dials: readonly string[],
    reason = 'silent since 2026-11-26T05:00:00Z',
  ) =>
    earlyAway(
      {
        decision: {
          ...{ kind: 'away', peer: 'x' as never, evidence: dials.join('\n') },
          reason: `${reason}, and nobody reaches it`,
        },
        dateMs: Date.parse(`2026-11-26T05:00:${at}Z`),
      } as never,
      15_000,
    )

  it.each<[string, string | null]>([
    ['a flap', away('17', [dial('a', '15'), dial('b', '15')])],
    ['one dial before the time', away('23', [dial('a', '20'), dial('b', '18')])],
    ['an act before the time, whatever it says of dials', away('18', [dial('a', '20')])],
    ['no dial at all', away('23', [])],
    ['a dial without time', away('23', [dial('a', '20'), 'b did not reach it'])],
    ['as many that reached it', away('23', [dial('a', '20'), dial('b', '20', 'answered')])],
    ['nothing of when it was heard', away('23', [dial('a', '20')], 'it lied')],
  ])('finds what moved for less than it must: %s', (_, wrong) => {
    expect(wrong).toContain('away')
  })

  it('lets be what was silent for long enough', () => {
    expect(away('23', [dial('a', '20'), dial('b', '20'), dial('c', '20')])).toBeNull()
    expect(away('19', [dial('a', '19')])).toBeNull()
    expect(earlyAway({ decision: { kind: 'back' }, dateMs: 0 } as never, 15_000)).toBeNull()
  })
})
