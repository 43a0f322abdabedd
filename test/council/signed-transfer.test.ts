import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adminCommands } from '../../src/node/admin/commands.ts'
import { SpokeClient } from '../../src/node/blogger/client.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import type { EntryId } from '../../src/replication/log/text.ts'
import { decodeAct } from '../../src/replication/registry/act.ts'
import { encodeOrder, type MoveOrder } from '../../src/replication/registry/order.ts'
import { gpgSigner, makeSigner, must, submissionOf } from '../support/author.ts'
import { operate, runCommand } from '../support/command.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'
import { GpgHome } from '../support/gpg.ts'

type Log = { act: { text: string }; receipts: { text: string }[] }
type Refused = { error: { code: string } }

describe.skipIf(!GpgHome.isInstalled)('a transfer that the blogger signs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'council-order-'))
  const gpg = new GpgHome()
  let key: string
  let council: TestCouncil
  let blog: TestBlog
  beforeAll(async () => {
    council = await startCouncil({ spokes: 5, authority: 'apart', failover: { silenceMs: 4_000 } })
    key = gpg.makeKey('Maria <maria@example.org>')
    blog = await council.claim('maria', await gpgSigner(gpg, key), council.peer('b'))
    await blog.publish('before', council.peer('a'))
  })
  afterAll(async () => {
    gpg[Symbol.dispose]()
    rmSync(folder, { recursive: true })
    await council?.[Symbol.asyncDispose]()
  })

  const run = (...args: string[]) =>
    runCommand(adminCommands, ['transfer', ...args], {
      env: { PATH: process.env.PATH ?? '', GNUPGHOME: gpg.dir, XDG_STATE_HOME: folder },
      sleep: (ms) => wait(ms),
    })
  const mine = (spoke: string, at: TestPeer, ...more: string[]) =>
    run('maria', spoke, '--signed', '--at', at.url, '--key', key, ...more)
  const logAt = async (peer: TestPeer): Promise<Log> => json(await peer.ask('/log.json', blog.host))
  /** The act in force, as a spoke shows it. */
  async function actAt(peer: TestPeer) {
    const act = must(decodeAct(Buffer.from((await logAt(peer)).act.text)))
    if (act.decision.kind !== 'assign') throw new Error('no assignment')
    return { ...act.decision, id: act.id, seq: act.seq }
  }
  /** Waits until all spokes show the same act and know what they are under it. @returns it */
  const whenSettled = (epoch = 1) =>
    soon(async () => {
      const acts = await Promise.all(council.spokes.map(actAt))
      const [first] = acts as [Awaited<ReturnType<typeof actAt>>]
      expect(acts.map(({ id }) => id)).toEqual(acts.map(() => first.id))
      expect(first.epoch).toBeGreaterThanOrEqual(epoch)
      const { primary, secondary } = await council.roles('maria')
      expect(primary.map(({ line }) => line.peerId)).toEqual([first.primary])
      expect(secondary).toHaveLength(first.replicas.length - 1)
      return first
    })
  const idOf = (name: string) => council.peer(name).line.peerId
  async function hand(
    change: Partial<MoveOrder>,
    by = { sign: (text: Uint8Array) => gpg.sign(text, key) as string | Promise<string> },
    reads = council.peer('a'),
  ) {
    const { id, epoch } = await actAt(reads)
    const { text } = must(
      encodeOrder({
        ...{ council: council.id, blog: 'maria' as BlogName, act: id, epoch, spoke: 'a' },
        ...{ primary: idOf('a') as never, dateMs: Date.now(), key: key as never },
        ...change,
      }),
    )
    const submission = submissionOf(text, await by.sign(text))
    const post = (peer: TestPeer) =>
      new SpokeClient(peer.url).ask({ path: '/order', post: submission })
    return {
      text,
      post,
      code: async (peer: TestPeer) => json<Refused>(await post(peer)).error?.code,
    }
  }

  it('is followed by the names of who leads', async () => {
    await council.claim('sol', await gpgSigner(gpg, key), council.peer('c'))
    const { none } = await council.roles('sol')
    const { name } = none[0] as TestPeer
    const at = ['--signed', '--at', council.peer('b').url, '--key', key]
    const { exit, err } = await run('sol', name, ...at, '--wait')
    const leaders = [...err.matchAll(/led by (\S+),/g)].map(([, leader]) => leader)
    expect([exit, leaders.at(-1)], err).toEqual([0, name])
    expect(leaders.filter((leader) => !/^[a-e]$/.test(leader ?? ''))).toEqual([])
    expect(leaders).toContain('c')
  })

  it('is shown, signed by gpg and done, from any spoke, while she goes on publishing', async () => {
    const { none } = await council.roles('maria')
    const [free, outsider] = none as [TestPeer, TestPeer]
    const dry = await mine(free.name, outsider, '--dry-run')
    expect(dry).toMatchObject({ exit: 0, err: expect.stringContaining(`spoke ${free.name}`) })
    expect((await actAt(outsider)).epoch).toBe(1)
    let isMoved = false
    const spokes = council.spokes
    const writing = (async () => {
      for (let count = 0; !isMoved || count < 3; count++)
        await blog.publish(`post-${count}`, spokes[count % spokes.length] as TestPeer)
    })()
    const moved = await mine(free.name, outsider, '--wait', '--json')
    isMoved = true
    await writing
    expect(moved).toMatchObject({ exit: 0, err: expect.stringContaining('council-order 1') })
    const answer = JSON.parse(moved.out.join(''))
    expect(answer).toMatchObject({ blog: 'maria', from: 'b', to: free.name, isDone: false })
    expect(answer.epoch).toBeGreaterThan(1)
    const act = await whenSettled(2)
    expect(act.primary).toBe(free.line.peerId)
    expect(act.reason).toContain(`its author ordered it to ${free.name}`)
    for (const peer of (await council.roles('maria')).secondary.concat(free))
      await blog.whenWhole(peer)
  })

  it('stands in the act: anybody checks the order with gpg', async () => {
    const [primary] = (await council.roles('maria')).primary as [TestPeer]
    const { seq } = await actAt(primary)
    // A spoke without @names shows it too.
    for (const peer of council.spokes) {
      const file = async (name: string) =>
        (await peer.ask(`/acts/names/${name}`, 'blogs.localhost')).body.toString()
      await soon(async () => expect(await file(`${seq}.order.txt`)).toContain('council-order 1'))
      const text = await file(`${seq}.order.txt`)
      expect(text).toContain(`\nspoke ${primary.name}\n`)
      const checked = gpg.verify(text, await file(`${seq}.order.txt.asc`))
      expect(checked.stdout).toContain(`VALIDSIG ${key}`)
    }
    const acts = (await primary.ask('/acts', 'blogs.localhost')).body.toString()
    expect(acts).toContain(`/acts/names/${seq}.order.txt.asc`)
    const none = await primary.ask('/acts/names/1.order.txt', 'blogs.localhost')
    expect(none.status).toBe(404)
  })

  it('moves nothing when it is taken from the act and handed in again', async () => {
    const [primary] = (await council.roles('maria')).primary as [TestPeer]
    const { seq, epoch } = await actAt(primary)
    const file = async (name: string) =>
      (await primary.ask(`/acts/names/${name}`, 'blogs.localhost')).body.toString()
    const submission = submissionOf(
      Buffer.from(await file(`${seq}.order.txt`)),
      await file(`${seq}.order.txt.asc`),
    )
    const replay = () => new SpokeClient(primary.url).ask({ path: '/order', post: submission })
    expect((await replay()).status).toBe(200)
    expect((await actAt(primary)).epoch).toBe(epoch)
    const promoted = await operate(
      ...['promote', 'maria', '--wait', '--config', council.authority.config],
    )
    expect(promoted).toMatchObject({ exit: 0 })
    await whenSettled(epoch + 1)
    const [other] = (await council.roles('maria')).primary as [TestPeer]
    expect(other.name).not.toBe(primary.name)
    const again = await replay()
    expect([again.status, json<Refused>(again).error.code]).toEqual([409, 'ORDER_ACT'])
    expect((await actAt(primary)).primary).toBe(other.line.peerId)
  })

  it('is refused where it does not hold, at any spoke, and the blog stays', async () => {
    const before = await whenSettled()
    const leads = council.spokes.find(({ line }) => line.peerId === before.primary) as TestPeer
    const to = council.spokes.find((peer) => peer !== leads) as TestPeer
    const wish = { spoke: to.name, primary: to.line.peerId as never }
    const mallory = await makeSigner('Mallory')
    const cases: [Parameters<typeof hand>, string][] = [
      [[wish, mallory], 'SIGNATURE_OTHER_KEY'],
      [[{ ...wish, key: mallory.fingerprint as never }, mallory], 'ORDER_OTHER_KEY'],
      [[{ ...wish, act: '1b'.repeat(32) as EntryId }], 'ORDER_ACT'],
      [[{ ...wish, epoch: 1 }], 'ORDER_ACT'],
      [[{ ...wish, council: `blogs.localhost/${'5f'.repeat(32)}` }], 'ORDER_COUNCIL'],
      [[{ ...wish, blog: 'nobody' as BlogName }], 'BLOG_UNKNOWN'],
      [[{ ...wish, dateMs: Date.now() + 700_000 }], 'DATE_IN_FUTURE'],
      [[{ ...wish, dateMs: Date.now() - 3_700_000 }], 'ORDER_TOO_OLD'],
      [[{ ...wish, spoke: 'z' }], 'MEMBER_UNKNOWN'],
      [[{ ...wish, primary: idOf('authority') as never, spoke: 'authority' }], 'SPOKE_NOT_LIVE'],
      // One a moment ago was carried out.
      [[wish], 'RATE_LIMITED'],
    ]
    for (const [index, [change, code]] of cases.entries()) {
      const order = await hand(...change)
      const peer = council.spokes[index % council.spokes.length] as TestPeer
      expect(await order.code(peer), code).toBe(code)
    }
    const entry = await blog.next('no-order')
    const wrong = await new SpokeClient(to.url).ask({ path: '/order', post: entry.submission })
    expect(json<Refused>(wrong).error.code).toBe('ORDER_FIRST_LINE')
    expect((await actAt(council.peer('a'))).id).toBe(before.id)
    await blog.publish('still-here', to)
  })

  it('is refused by the command before anything is sent: another key, an unknown spoke, half the options', async () => {
    const other = gpg.makeKey('Other <other@example.org>')
    const at = council.peer('a').url
    const byOther = await run('maria', 'c', '--signed', '--at', at, '--key', other)
    expect(byOther).toMatchObject({
      exit: 4,
      err: expect.stringContaining('is written with the key'),
    })
    expect(await mine('z', council.peer('a'))).toMatchObject({ exit: 2 })
    expect(await run('maria', 'c', '--signed', '--at', at)).toMatchObject({ exit: 2 })
    expect(await run('maria', 'c', '--at', at, '--key', key)).toMatchObject({ exit: 2 })
    const again = await mine((await council.roles('maria')).none[0]?.name ?? '', council.peer('a'))
    expect(again).toMatchObject({
      ...{
        exit: 3,
        err: expect.stringMatching(/a moment ago\. Nothing was moved .* order it anew in \d+ /),
      },
    })
  })

  it('is told a spoke that is cut off, and refused with a revoked key', async () => {
    const { primary } = await council.roles('maria')
    const victim = council.spokes.find((peer) => !primary.includes(peer)) as TestPeer
    await council.cutOff(victim.name, 'it lied')
    const to = council.spokes.find((peer) => peer !== victim && !primary.includes(peer)) as TestPeer
    // Who is cut off hears of no more acts.
    const handTo = (wish: Partial<MoveOrder>) => hand(wish, undefined, to)
    await soon(async () => {
      const wish = { spoke: victim.name, primary: victim.line.peerId as never }
      expect(await (await handTo(wish)).code(to)).toBe('SPOKE_NOT_LIVE')
    })
    const revoke = gpg.exportKey(key).concat('\n', gpg.makeRevocation(key, 'compromised'))
    const answer = await new SpokeClient(to.url).ask({ path: '/revoke', post: Buffer.from(revoke) })
    expect([answer.status, answer.body.toString()]).toEqual([200, expect.anything()])
    await soon(async () => {
      const order = await handTo({ spoke: to.name, primary: to.line.peerId as never })
      expect(await order.code(to)).toBe('KEY_REVOKED')
    })
  })
})
