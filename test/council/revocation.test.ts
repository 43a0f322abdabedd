import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { realClock } from '../../src/node/clock.ts'
import { KeyChecks, watchedKeys } from '../../src/node/key-checks.ts'
import { KeyServers } from '../../src/node/key-servers.ts'
import { SpokeForWeb } from '../../src/node/web-spoke.ts'
import { rekeyText } from '../../src/replication/log/author.ts'
import type { Entry } from '../../src/replication/log/entry.ts'
import { formatDate } from '../../src/replication/log/text.ts'
import { gpgSigner, type Signer, signEntry } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
  zone,
} from '../support/council.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'
import { KeyServer } from '../support/sks.ts'

const run = promisify(execFile)
type Done = { state: string; act?: number; error?: { code: string } }

describe.skipIf(!has('gpg') || !has('curl'))('a revocation', () => {
  let gpg: GpgHome
  let council: TestCouncil
  let keys = 0
  beforeAll(async () => {
    gpg = new GpgHome()
    // Each blog on two of four spokes: some that are asked keep nothing of it.
    council = await startCouncil({ spokes: 4, authority: 'apart', replicas: 2 })
  })
  afterAll(async () => {
    gpg[Symbol.dispose]()
    await council[Symbol.asyncDispose]()
  })

  const makeSigner = () => {
    const fingerprint = gpg.makeKey(`Maria <maria${++keys}@example.org>`)
    return gpgSigner(gpg, fingerprint)
  }
  /** As the README has it, from a file and with curl. */
  async function handIn(revocation: string, at: TestPeer, host?: string): Promise<[number, Done]> {
    const { stdout } = await run('curl', [
      ...['-sS', '-w', '\n%{http_code}', '-H', 'Content-Type: text/plain'],
      ...(host === undefined ? [] : ['-H', `Host: ${host}`]),
      ...['--data-binary', `@${gpg.file(revocation)}`, `${at.url}/revoke`],
    ])
    const [body = '', status] = stdout.split(/\n(?=[0-9]+$)/)
    return [Number(status), JSON.parse(body)]
  }
  const codeOf = async (answer: ReturnType<TestPeer['post']>) => {
    const { status, body } = await answer
    return `${status} ${json<Done>({ status, body } as never).error?.code ?? 'taken'}`
  }
  const words = (key: string) => key.replace(/.{4}(?!$)/g, '$& ')
  /** A claim by the key: every spoke judges it by itself. */
  const refusesClaim = async (at: TestPeer, signer: Signer, name: string) => {
    const claim = await council.sign(name, signer)
    expect(await codeOf(at.post(claim.genesis.submission))).toBe('403 KEY_REVOKED')
  }
  const namesHead = () => council.authority.exchange.council.names()?.head.seq

  it('handed in by a stranger ends writing with the key on every spoke, also on one that was down', async () => {
    const [a, b, c, d] = council.spokes as [TestPeer, TestPeer, TestPeer, TestPeer]
    const signer = await makeSigner()
    const key = signer.fingerprint
    const blogs: TestBlog[] = []
    for (const [name, at] of [
      ['maria', a],
      ['mariasecond', b],
    ] as const)
      blogs.push(await council.claim(name, signer, at))
    for (const blog of blogs) await blog.publish('before', a)
    await d.stop()

    // As gpg writes it: without the key, which c finds at the authority or here.
    const bare = gpg.makeRevocation(key, 'compromised')
    const [status, done] = await handIn(bare, c)
    expect([status, done]).toMatchObject([200, { state: 'acted', key, reason: 'compromised' }])
    expect(await handIn(bare, b)).toMatchObject([200, { state: 'known', act: done.act }])

    // What is handed in at one is judged by another, which leads the blog.
    for (const at of [a, b, c]) await soon(() => refusesClaim(at, signer, 'mariathird'))
    for (const at of [a, b, c]) {
      for (const blog of blogs) {
        const next = await blog.next('after')
        expect(await codeOf(at.post(next.submission))).toBe('403 KEY_REVOKED')
      }
      await soon(async () => {
        const acts = (await at.ask('/acts')).body.toString()
        expect(acts).toContain(`The key ${words(key)} was revoked by its owner: compromised.`)
      })
      for (const blog of blogs) {
        const list = (await at.ask('/', blog.host)).body.toString()
        expect(list).toContain('somebody else may have it (compromised)')
        const year = new Date().getUTCFullYear()
        const post = (await at.ask(`/${year}/before`, blog.host)).body.toString()
        expect(post).toContain('This is before.')
        expect(post).toMatch(/\(key later revoked: compromised; first seen here (before|after) the/)
        expect((await blog.read(1, at)).length).toBeGreaterThan(0)
      }
    }

    // Both keep one of the blogs as its primary.
    for (const at of [a, b]) {
      await soon(async () => {
        const front = (await at.ask('/')).body.toString()
        expect(front).toMatch(/<strong>key revoked [^<]+ \(compromised\)<\/strong>/)
      })
    }

    await d.start()
    await soon(() => refusesClaim(d, signer, 'mariathird'))
    // What it learnt lasts, also while nobody tells it.
    await d.stop()
    await d.start()
    expect(d.exchange.revocations.of(key)).toMatchObject({ reason: 2, seq: done.act })
  })

  it('of a key that no blog is written with is refused, and @names does not grow', async () => {
    const before = namesHead()
    for (const at of council.spokes) {
      const { fingerprint, publicKey } = await makeSigner()
      const bare = gpg.makeRevocation(fingerprint, 'none')
      expect(await handIn(`${publicKey}\n${bare}`, at)).toMatchObject([
        404,
        { error: { code: 'REVOCATION_KEY_UNKNOWN' } },
      ])
      expect(await handIn(bare, at)).toMatchObject([
        400,
        { error: { code: 'REVOCATION_NEEDS_KEY' } },
      ])
    }
    expect(namesHead()).toBe(before)
  })

  it('by another key, or altered, changes nothing', async () => {
    const [a, b] = council.spokes as [TestPeer, TestPeer]
    const [mine, theirs] = [await makeSigner(), await makeSigner()]
    const blog = await council.claim('untouched', mine, a)
    const before = namesHead()
    const bare = gpg.makeRevocation(theirs.fingerprint, 'compromised')
    expect(await handIn(`${mine.publicKey}\n${bare}`, b)).toMatchObject([
      400,
      { error: { code: 'REVOCATION_OTHER_KEY' } },
    ])
    expect(namesHead()).toBe(before)
    await blog.publish('still', b)
  })

  it('of a key that a blog went over to is taken at the address of that blog', async () => {
    const [a] = council.spokes as [TestPeer]
    const [old, next] = [await makeSigner(), await makeSigner()]
    const blog = await council.claim('movedon', old, a)
    const { none, primary, secondary } = await council.roles('movedon')
    const draft = {
      ...{ council: council.id, blog: 'movedon', seq: 1, prev: blog.head.id },
      ...{ date: formatDate(Date.now()), key: old.fingerprint, next: next.fingerprint },
    }
    const text = rekeyText(old.fingerprint as never, {
      ...(draft as unknown as Entry),
      ...{ log: 'movedon' as never, next: next.fingerprint as never },
    })
    const possession = (await next.sign(text)).trimEnd()
    const body = `${next.publicKey}\n\n${possession}`
    const rekey = await signEntry(old, { kind: 'rekey', ...draft, body })
    await soon(async () => expect((await a.post(rekey.submission)).status).toBe(201))

    const outside = none[0] as TestPeer
    const bare = gpg.makeRevocation(next.fingerprint, 'retired')
    expect((await handIn(bare, outside))[0]).toBe(400)
    expect(await handIn(bare, outside, `movedon.${zone}`)).toMatchObject([
      200,
      { state: 'acted', key: next.fingerprint, reason: 'retired' },
    ])
    const post = {
      ...{ kind: 'post' as const, slug: 'late', title: 'Late', body: 'Text' },
      ...{ council: council.id, blog: 'movedon', seq: 2, prev: rekey.entry.id },
      ...{ date: formatDate(Date.now()), key: next.fingerprint },
    }
    const late = await signEntry(next, post)
    for (const at of [...primary, ...secondary, outside])
      await soon(async () => expect(await codeOf(at.post(late.submission))).toBe('403 KEY_REVOKED'))
  })

  it('waits at the spoke while the authority is down, and is handed on when it is back', async () => {
    const [a, , c] = council.spokes as [TestPeer, TestPeer, TestPeer]
    const signer = await makeSigner()
    const blog = await council.claim('patient', signer, a)
    await council.authority.stop()
    const [held = c] = (await council.roles('patient')).primary
    const bare = gpg.makeRevocation(signer.fingerprint, 'superseded')
    expect(await handIn(bare, held)).toMatchObject([202, { state: 'kept' }])
    await blog.publish('meanwhile', held)
    await held.stop()
    await held.start()
    expect(held.exchange.revoking.waiting()).toEqual([signer.fingerprint])
    await council.authority.start()
    await soon(async () => {
      const next = await blog.next('after')
      expect(await codeOf(held.post(next.submission))).toBe('403 KEY_REVOKED')
    })
    await soon(() => expect(held.exchange.revoking.waiting()).toEqual([]))
    const page = (await held.ask('/', blog.host)).body.toString()
    expect(page).toContain('another key takes its place (superseded)')
    expect(page).not.toContain('key later revoked')
  })

  describe.skipIf(!has('sks'))('at a key server', () => {
    let sks: KeyServer
    beforeAll(async () => {
      sks = await KeyServer.start()
      return () => sks[Symbol.asyncDispose]()
    })

    /** The key servers as `startPeer` builds them, with a clock that the test sets ahead. */
    function servers(at: TestPeer, aheadMs: () => number) {
      const { exchange } = at
      const now = () => realClock.now() + aheadMs()
      const keyServers = new KeyServers({
        ...{ servers: [sks.url], wkd: false, allowPrivate: true, store: exchange.store, now },
        isOurs: async (key) => (await exchange.heldKeys.find(key)) !== null,
      })
      return { exchange, keyServers, now }
    }

    it('is found by the primary’s daily round, and becomes an act by itself', async () => {
      const [, b] = council.spokes as [TestPeer, TestPeer]
      const signer = await makeSigner()
      const key = signer.fingerprint as Fingerprint
      const blog = await council.claim('daily', signer, b)
      await sks.add(signer.publicKey)
      let aheadMs = 0
      const { exchange, keyServers, now } = servers(b, () => aheadMs)
      const checks = new KeyChecks({
        ...{ keyServers, watched: () => watchedKeys(exchange), clock: { ...realClock, now } },
        handIn: (certificate) => exchange.revoking.handIn(certificate, null),
      })
      await checks.round()
      expect(await keyServers.last(key)).toMatchObject({ kind: 'not-revoked' })
      gpg.importKey(gpg.makeRevocation(key, 'retired'))
      await sks.add(gpg.exportKey(key))
      await checks.round()
      expect(await keyServers.last(key)).toMatchObject({ kind: 'not-revoked' })
      aheadMs = 25 * 3_600_000
      await checks.round()
      expect(b.exchange.revocations.of(key)).toMatchObject({ reason: 3 })
      expect(council.authority.exchange.council.names()?.revoked.of(key)).toMatchObject({
        reason: 3,
      })
      const late = await blog.next('late').catch(() => null)
      expect(late, 'gpg does not sign with it any more').toBeNull()
    })

    it('is told at sign-up and login, and handed in when a blog is written with the key', async () => {
      const [a, b] = council.spokes as [TestPeer, TestPeer]
      const signer = await makeSigner()
      const key = signer.fingerprint as Fingerprint
      await council.claim('atlogin', signer, b)
      const { exchange, keyServers, now } = servers(a, () => 0)
      const { revocations, revoking } = exchange
      const spoke = new SpokeForWeb({ revocations, revoking, keyServers, now } as never)
      expect(await spoke.askKeyServers(key, null, 0)).toMatchObject({ kind: 'not-known' })
      await sks.add(signer.publicKey)
      expect(await spoke.askKeyServers(key, null, 86_400_000)).toMatchObject({ kind: 'not-known' })
      expect(await spoke.askKeyServers(key, null, 0)).toMatchObject({ kind: 'not-revoked' })
      expect(await spoke.revocation(key)).toBeNull()
      gpg.importKey(gpg.makeRevocation(key, 'none'))
      await sks.add(gpg.exportKey(key))
      expect(await spoke.askKeyServers(key, null, 0)).toMatchObject({
        ...{ kind: 'revoked', reason: 0, isHard: true },
      })
      await soon(async () => expect(await spoke.revocation(key)).toMatchObject({ reason: 0 }))

      // Of a key that nobody writes with there is a word, and no act.
      const stranger = (await makeSigner()).fingerprint as Fingerprint
      gpg.importKey(gpg.makeRevocation(stranger, 'compromised'))
      await sks.add(gpg.exportKey(stranger))
      const before = namesHead()
      expect(await spoke.askKeyServers(stranger, null, 0)).toMatchObject({ kind: 'revoked' })
      await sks.stop()
      const other = (await makeSigner()).fingerprint as Fingerprint
      expect(await spoke.askKeyServers(other, null, 0)).toMatchObject({ kind: 'unreachable' })
      expect(namesHead()).toBe(before)
    })
  })
})
