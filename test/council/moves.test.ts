import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { operate } from '../support/command.ts'
import { soon, startCouncil, type TestCouncil, type TestPeer } from '../support/council.ts'

type Copies = {
  readonly epoch: number
  readonly active: boolean
  readonly published: number
  readonly head: number
  readonly waits: { readonly code: string } | null
  readonly replicas: readonly {
    readonly name: string
    readonly role: string
    readonly lag: number | null
    readonly heard: string | null
    readonly heardBy: string | null
    readonly listened: string | null
    readonly answers: boolean
  }[]
}

const run = (peer: TestPeer, command: string, ...args: string[]) =>
  operate(command, ...args, '--config', peer.config)
async function copiesOf(blog: string, peer: TestPeer): Promise<Copies> {
  const { exit, out, err } = await run(peer, 'copies', blog, '--json')
  expect([exit, err]).toEqual([0, ''])
  return JSON.parse(out.join(''))
}
const namesIn = ({ replicas }: Copies) => replicas.map(({ name }) => name).sort()
const leaderIn = ({ replicas }: Copies) => replicas.find(({ role }) => role === 'primary')?.name

describe('moving blogs by hand', () => {
  let council: TestCouncil
  let a: TestPeer
  beforeAll(async () => {
    council = await startCouncil({ spokes: 4, failover: { silenceMs: 4_000 } })
    a = council.peer('a')
  })
  afterAll(() => council[Symbol.asyncDispose]())

  it('shows where the copies are, at any peer', async () => {
    const blog = await council.claim('where', await makeSigner(), council.peer('b'))
    await blog.publish('one', a)
    await soon(async () => {
      const copies = await copiesOf('where', a)
      expect(copies).toMatchObject({ epoch: 1, active: true, published: 1, head: 1, waits: null })
      expect(copies.replicas.map(({ lag, answers }) => [lag, answers])).toEqual(
        Array(3).fill([0, true]),
      )
      expect(leaderIn(copies)).toBe('b')
    })
    await soon(async () =>
      expect(await copiesOf('where', council.peer('d'))).toMatchObject({ published: 1 }),
    )
    expect(await run(a, 'copies', 'nobody')).toMatchObject({ exit: 1 })
  })

  it('transfers a blog to a spoke that had no copy, while its author goes on writing', async () => {
    const blog = await council.claim('maria', await makeSigner(), a)
    await blog.publish('before', a)
    const [free] = (await council.roles('maria')).none as [TestPeer]
    const dry = await run(a, 'transfer', 'maria', free.name, '--dry-run')
    expect(dry).toMatchObject({ exit: 0, err: expect.stringContaining('would move maria from a') })
    expect((await copiesOf('maria', a)).epoch).toBe(1)
    let isMoved = false
    const writing = (async () => {
      for (let count = 0; !isMoved || count < 3; count++)
        await blog.publish(`post-${count}`, council.peer('abcd'[count % 4] as string))
    })()
    const reason = ['--reason', 'a closes in spring']
    const moved = await run(a, 'transfer', 'maria', free.name, '--wait', ...reason)
    isMoved = true
    await writing
    expect(moved).toMatchObject({ exit: 0 })
    await soon(async () => {
      const copies = await copiesOf('maria', a)
      expect([leaderIn(copies), copies.active]).toEqual([free.name, true])
      expect(namesIn(copies)).not.toContain('a')
      expect(copies.published).toBe(blog.head.seq)
    })
    for (const { name } of (await copiesOf('maria', a)).replicas)
      await blog.whenWhole(council.peer(name))
    expect((await a.ask('/acts', 'blogs.localhost')).body.toString()).toContain(
      'a closes in spring',
    )
    // The same again changes nothing.
    const { epoch } = await copiesOf('maria', a)
    expect(await run(a, 'transfer', 'maria', free.name)).toMatchObject({ exit: 0 })
    expect((await copiesOf('maria', a)).epoch).toBe(epoch)
  })

  it.each([
    ['a blog that does not exist', ['transfer', 'nobody', 'b'], 1, 'There is no blog "nobody"'],
    ['a spoke that does not exist', ['transfer', 'where', 'z'], 1, 'is called z'],
    ['a loss without a reason', ['promote', 'where', '--accept-loss'], 2, '--reason'],
    ['an unknown spoke to drain', ['drain', 'z'], 1, 'is called z'],
  ])('refuses %s', async (_, [command, ...args], exit, words) => {
    const refused = await run(a, command as string, ...args)
    expect(refused).toMatchObject({ exit, err: expect.stringContaining(words) })
  })

  it('is the matter of the authority, but for a spoke that is emptied itself', async () => {
    const b = council.peer('b')
    for (const args of [
      ['transfer', 'where', 'c'],
      ['promote', 'where'],
      ['drain', 'c'],
    ] as const) {
      const [command, ...rest] = args
      expect(await run(b, command, ...rest)).toMatchObject({
        ...{ exit: 2, err: expect.stringContaining("not the council's authority") },
      })
    }
  })

  it('drains a spoke at its own word, so that it may stop; then keeps copies there again', async () => {
    const b = council.peer('b')
    const blog = await council.claim('luz', await makeSigner(), b)
    await blog.publish('one', b)
    const drained = await run(b, 'drain', '--wait')
    expect(drained).toMatchObject({ exit: 0, err: expect.stringContaining('it may stop') })
    for (const name of ['where', 'luz']) {
      const copies = await copiesOf(name, a)
      expect(namesIn(copies)).toEqual(['a', 'c', 'd'])
      expect(copies.active).toBe(true)
    }
    await blog.publish('two', a)
    // One more could leave: two live copies are w of three. A third could not.
    expect(await run(a, 'drain', 'c', '--wait')).toMatchObject({ exit: 0 })
    expect(namesIn(await copiesOf('luz', a))).toEqual(['a', 'd'])
    const refused = await run(a, 'drain', 'd')
    expect(refused).toMatchObject({ exit: 4, err: expect.stringContaining('have no other spoke') })
    expect(await run(b, 'drain', '--undo')).toMatchObject({ exit: 0 })
    expect(await run(a, 'drain', 'c', '--undo')).toMatchObject({ exit: 0 })
    await soon(async () => {
      const copies = await copiesOf('luz', a)
      expect([copies.replicas.length, copies.published]).toEqual([3, blog.head.seq])
    })
  })

  it('promotes another replica of a blog, the one that is named', async () => {
    const blog = await council.claim('sol', await makeSigner(), a)
    const [next] = (await council.roles('sol')).secondary as [TestPeer]
    const free = (await council.roles('sol')).none[0] as TestPeer
    expect(await run(a, 'promote', 'sol', '--to', free.name)).toMatchObject({ exit: 4 })
    expect(await run(a, 'promote', 'sol', '--to', next.name, '--wait')).toMatchObject({ exit: 0 })
    expect(leaderIn(await copiesOf('sol', a))).toBe(next.name)
    await blog.publish('one', free)
  })
})

describe('when each replica was heard last', () => {
  it('is said at any peer: by its own answer now, else by the authority, else that it is not known', async () => {
    await using council = await startCouncil({ spokes: 3, authority: 'apart' })
    const blog = await council.claim('where', await makeSigner(), council.peer('b'))
    await blog.publish('one', council.peer('a'))
    const [a, b, c] = ['a', 'b', 'c'].map((name) => council.peer(name)) as [
      ...[TestPeer, TestPeer, TestPeer],
    ]
    const age = (instant: string | null) => Date.now() - Date.parse(instant ?? '')
    for (const peer of [a, b, c, council.authority]) {
      await soon(async () => {
        const { replicas } = await copiesOf('where', peer)
        expect(replicas.map(({ answers, heardBy }) => [answers, heardBy])).toEqual(
          Array(3).fill([true, 'here']),
        )
        for (const { heard } of replicas) expect(age(heard)).toBeLessThan(30_000)
      })
    }
    await c.stop()
    const lost = async (peer: TestPeer) =>
      (await copiesOf('where', peer)).replicas.find(({ name }) => name === 'c')
    for (const [peer, heardBy] of [
      [a, 'authority'],
      [b, 'authority'],
      [council.authority, 'here'],
    ] as const) {
      const found = await lost(peer)
      expect(found).toMatchObject({ answers: false, heardBy, listened: null })
      // Nobody sends a second heartbeat within this test: it is the one from when `c` was connected.
      expect(age(found?.heard ?? null)).toBeGreaterThan(0)
    }
    const words = (await run(a, 'copies', 'where')).out.join('\n')
    expect(words).toMatch(/^ {2}c .*does not answer.*last heard by the authority \d+ s ago/m)
    expect(words).toMatch(/^ {2}b .*heard now/m)
    // One that was started anew has heard nothing of `c`, and says since when.
    await council.authority.stop()
    expect(await lost(a)).toMatchObject({ heard: null, heardBy: null, listened: null })
    expect((await run(a, 'copies', 'where')).out.join('\n')).toMatch(
      /^ {2}c .*last heard: not known, the authority does not answer/m,
    )
    await council.authority.start()
    await soon(async () =>
      expect(await lost(a)).toMatchObject({ heard: null, heardBy: 'authority' }),
    )
    expect(age((await lost(a))?.listened ?? null)).toBeLessThan(60_000)
    expect((await run(a, 'copies', 'where')).out.join('\n')).toMatch(
      /^ {2}c .*not heard by the authority since it began to listen, \d+ s ago/m,
    )
  })
})

describe('a blog of which two of three replicas are lost', () => {
  it('stays sealed and readable, says so, and goes on when its loss is accepted', async () => {
    await using council = await startCouncil({
      ...{ spokes: 5, processes: true, failover: { silenceMs: 2_000, replaceAfterMs: 600_000 } },
    })
    const a = council.peer('a')
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('one', a)
    const { secondary } = await council.roles('maria')
    const [left, other] = secondary.sort((x) => (x === a ? -1 : 1)) as [TestPeer, TestPeer]
    const lost = [council.peer('b'), other]
    for (const peer of lost) await peer.kill()
    await soon(async () => {
      expect((await copiesOf('maria', a)).waits).toMatchObject({
        ...{ code: 'SEAL_TOO_FEW', reason: expect.stringMatching(/silent: [b-e], [b-e]\.$/) },
      })
    })
    expect((await left.ask('/', blog.host)).status).toBe(200)
    const waits = await run(a, 'promote', 'maria')
    expect(waits).toMatchObject({ exit: 3, err: expect.stringContaining('1 of 3 replicas') })
    const reason = ['--reason', 'both disks burnt']
    const promoted = await run(a, 'promote', 'maria', '--accept-loss', '--wait', ...reason)
    expect(promoted).toMatchObject({ exit: 0 })
    // The other two spokes get copies: publishing goes on.
    await blog.publish('after', a)
    await left.acts('both disks burnt', 'Entries of maria were lost')
  })
})
