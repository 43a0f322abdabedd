import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { operate } from '../support/command.ts'
import { soon, startCouncil, type TestPeer } from '../support/council.ts'

describe('a loss that an operator accepted', () => {
  it('is said on the blog’s page at every spoke, also one without @names', async () => {
    await using council = await startCouncil({
      ...{ spokes: 7, authority: 'apart' },
      failover: { silenceMs: 2_000, replaceAfterMs: 600_000 },
    })
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('one', council.peer('c'))
    const { primary, secondary } = await council.roles('maria')
    const lost = [primary[0], secondary[0]] as [TestPeer, TestPeer]
    for (const peer of lost) await peer.stop()
    const ask = (...args: string[]) => operate(...args, '--config', council.authority.config)
    // Too few are left to go on: that is when an operator gives something up.
    await soon(async () => {
      const { out } = await ask('copies', 'maria', '--json')
      expect(JSON.parse(out.join('')).waits).toMatchObject({ code: 'SEAL_TOO_FEW' })
    })
    const command = ['promote', 'maria', '--accept-loss', '--reason', 'both disks burnt', '--wait']
    const { exit, err } = await ask(...command)
    expect([exit, err]).toEqual([0, expect.anything()])
    const running = council.spokes.filter((peer) => peer.isRunning)
    const without = running.filter(({ exchange }) => !exchange.alive.carriesNames())
    expect(without.length).toBeGreaterThan(0)
    for (const peer of running) {
      await soon(async () => {
        const page = (await peer.ask('/', blog.host)).body.toString()
        expect(page).toContain('of this blog may be lost')
        expect(page).toContain('both disks burnt')
        const act = /\/acts\/names\/[0-9]+\.txt/.exec(page)?.[0] ?? ''
        const text = (await peer.ask(act, 'blogs.localhost')).body.toString()
        expect(text).toContain('\nkind loss\n')
      })
    }
    // It stays known where it came by a message alone, after a start anew.
    const [one] = without as [TestPeer]
    await one.stop()
    await one.start()
    await soon(async () => {
      expect((await one.ask('/', blog.host)).body.toString()).toContain('both disks burnt')
    })
    await blog.publish('after', one)
  })
})
