import { describe, expect, it } from 'vitest'
import { CouncilNames } from '../../src/node/demo/names.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestCouncil, type TestPeer } from '../support/council.ts'

const failover = { silenceMs: 2_000, replaceAfterMs: 600_000 }

/** Addresses that the authority's DNS gives for a name now. */
async function addressesOf(council: TestCouncil, name: string): Promise<readonly string[]> {
  const { host, port } = council.authority.dns
  const found = await new CouncilNames([`${host}:${port}`], Date.now).lookup(name)
  return found.kind === 'found' ? found.addresses : []
}
const addressOf = (peer: TestPeer) => new URL(peer.url).hostname

describe('a primary that is killed', () => {
  it('is replaced by a replica; DNS follows, writing goes on, nothing published is lost', async () => {
    await using council = await startCouncil({
      ...{ spokes: 4, authority: 'first', replicas: 3, processes: true, ownAddresses: true },
      failover,
    })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    for (const slug of ['one', 'two']) await blog.publish(slug, council.peer('d'))
    const old = (await council.roles('maria')).primary[0] as TestPeer
    expect(old.name).toBe('b')
    await old.kill()
    const any = council.peer('d')
    await blog.publish('three', any)
    const running = council.spokes.filter((peer) => peer !== old)
    for (const peer of running) await blog.whenWhole(peer)
    await soon(async () => {
      expect(await addressesOf(council, 'edit.maria.blogs.localhost')).not.toContain(addressOf(old))
      expect(await addressesOf(council, 'maria.blogs.localhost')).not.toContain(addressOf(old))
      expect((await addressesOf(council, 'maria.blogs.localhost')).length).toBeGreaterThan(0)
    })
    // In public, with who dialled and when.
    const acts = await any.acts(
      'was taken out of DNS: silent since',
      'epoch 2: b, which took the writes, is out',
    )
    const said = acts.slice(acts.indexOf('was taken out of DNS'))
    const [away = ''] = /\/acts\/roster\/\d+\.txt/.exec(said) ?? []
    const act = (await any.ask(away, 'blogs.localhost')).body.toString()
    expect(act).toMatch(/\na dialled at \S+: .+\n[cd] dialled at \S+: /)
    // It comes back as a secondary, follows the new epoch, and is in DNS again.
    await old.start()
    await blog.publish('four', any)
    await blog.whenWhole(old)
    await soon(async () => {
      const kept = (await old.status()).blogs.find((each) => each.blog === 'maria')
      expect(kept).toMatchObject({ role: 'secondary', epoch: 2 })
      expect(await addressesOf(council, 'maria.blogs.localhost')).toContain(addressOf(old))
    })
  })
})
