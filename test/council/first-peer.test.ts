import { Resolver } from 'node:dns/promises'
import { describe, expect, it } from 'vitest'
import { SpokeClient } from '../../src/node/blogger/client.ts'
import { makeSigner } from '../support/author.ts'
import { json, soon, startCouncil, zone } from '../support/council.ts'

/** Linux has all of 127.0.0.0/8; elsewhere the addresses must be added by hand. */
const hasAddresses = process.platform === 'linux'

describe.skipIf(!hasAddresses)('a council that begins with one peer', () => {
  it('says that a post is on one server; grown, it outlives that server', async () => {
    await using council = await startCouncil({
      ...{ spokes: 1, dns: ['b'], processes: true, ownAddresses: true },
    })
    const signer = await makeSigner()
    const a = council.peer('a')
    const solo = await council.claim('solo', signer, a)
    const alone = await a.post((await solo.next('alone')).submission)
    expect(alone.status).toBe(202)
    expect(json(alone)).toMatchObject({
      ...{ published: false, copies: 1, wanted: 1 },
      reason: 'stored on 1 server: this council has no second one yet',
    })

    const [b] = await Promise.all([council.join('b'), council.join('c')])
    await council.ready()
    const maria = await council.claim('maria', signer, a)
    await maria.publish('grown', a)

    const resolver = new Resolver({ timeout: 2_000, tries: 3 })
    resolver.setServers([`${b.dns.host}:${b.dns.port}`])
    const secondaries = [b, council.peer('c')].map((peer) => peer.line.http?.host)
    const areIn = async () => {
      const found = await resolver.resolve4(maria.host)
      expect(new Set(found)).toEqual(new Set(secondaries))
      return found
    }
    // b has heard of the act before the only one that wrote it is gone.
    await soon(areIn)
    await a.kill()
    const addresses = await areIn()
    const { port } = new URL(a.url)
    await soon(async () => {
      for (const address of addresses) {
        const reader = new SpokeClient(`http://${address}:${port}`)
        const page = await reader.ask({ path: '/', host: maria.host })
        expect([page.status, page.body.toString()]).toEqual([
          200,
          expect.stringContaining('About grown'),
        ])
      }
    })
    expect(maria.host).toBe(`maria.${zone}`)
  })
})
