import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EntryId } from '../../src/replication/log/text.ts'
import { soon, startCouncil, type TestCouncil, zone } from '../support/council.ts'
import { GpgHome } from '../support/gpg.ts'
import { randomOf } from '../support/simulation/random.ts'
import { check, unrest } from './checker.ts'
import { Writer } from './writer.ts'

// A run is believed when the checker finds nothing: so it must find each of these.
describe.skipIf(!GpgHome.isInstalled)('the checker of a torture run', () => {
  let council: TestCouncil
  let gpg: GpgHome
  let writer: Writer
  const signal = AbortSignal.timeout(60_000)
  const places = () => council.spokes.map(({ name, url }) => ({ name, url }))
  const look = () => check([writer], places(), { zone, folder: `${gpg.dir}/exports` })

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
