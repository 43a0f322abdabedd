import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gpgSigner } from '../support/author.ts'
import { press } from '../support/author-pages.ts'
import {
  type Door,
  openBrowser,
  openDoor,
  type TestBrowser,
  type Visitor,
} from '../support/browser.ts'
import { json, soon, startCouncil, type TestCouncil } from '../support/council.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'
import { KeyServer } from '../support/sks.ts'

const isWhole = ['chromium', 'gpg', 'sks'].every(has)

describe.skipIf(!isWhole)('an account, where a real key server is asked', () => {
  const gpg = new GpgHome()
  let sks: KeyServer
  let council: TestCouncil
  let door: Door
  let browser: TestBrowser
  beforeAll(async () => {
    sks = await KeyServer.start()
    ;[council, browser] = await Promise.all([
      startCouncil({
        ...{ spokes: 3, ownAddresses: true },
        keys: { servers: [sks.url], allowPrivate: true },
      }),
      openBrowser(),
    ])
    door = await openDoor(council)
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await door?.[Symbol.asyncDispose]()
    await council?.[Symbol.asyncDispose]()
    await sks?.[Symbol.asyncDispose]()
    gpg[Symbol.dispose]()
  })

  const makeKey = (name: string) => {
    const key = gpg.makeKey(`${name} <${name}@example.org>`)
    gpg.addSubkey(key, 'cv25519', 'encr')
    return { key, publicKey: gpg.exportKey(key), gpgId: `${name}@example.org` }
  }
  type Own = ReturnType<typeof makeKey>
  const words = async ({ page }: Visitor) => (await page.textContent('main')) ?? ''
  const signUp = async (visitor: Visitor, { publicKey, gpgId }: Own, at = 'a') => {
    await visitor.open(door.url(`${at}.spoke`, '/start'))
    await visitor.page.getByLabel('Your public key').fill(publicKey)
    await visitor.page.getByLabel('Your gpg id').fill(gpgId)
    return press(visitor, 'Go on')
  }
  const prove = async (visitor: Visitor) => {
    const input = (await visitor.page.locator('pre code').first().textContent()) ?? ''
    const decrypted = gpg.run(['-qd'], { input }).stdout
    await visitor.page.getByLabel('The code').fill(/^code: (.*)$/m.exec(decrypted)?.[1] ?? '')
    return press(visitor, 'Log in')
  }
  const logIn = async (visitor: Visitor, who: string, at: string) => {
    await visitor.open(door.url(`${at}.spoke`, '/login'))
    await visitor.page.getByLabel('Your blog’s name').fill(who)
    return press(visitor, 'Go on')
  }

  it('is refused from the next login on, and writes at no spoke any more, once the key is revoked there', async () => {
    const own = makeKey('maria')
    await sks.add(own.publicKey)
    await using visitor = await browser.visitor()
    await signUp(visitor, own)
    await prove(visitor)
    await visitor.open(door.url('a.spoke', '/my'))
    expect(await words(visitor)).toContain('Key servers: Not revoked')
    const blog = await council.claim('maria', await gpgSigner(gpg, own.key), council.peer('a'))
    await blog.publish('before', council.peer('b'))
    // gpg signs no more once it knows.
    const after = await blog.next('after')

    gpg.importKey(gpg.makeRevocation(own.key, 'compromised'))
    await sks.add(gpg.exportKey(own.key))
    // At a spoke that has not asked yet; she pastes the key as it was.
    await using next = await browser.visitor()
    const { status } = await logIn(next, own.publicKey, 'c')
    expect([status, await words(next)]).toEqual([
      403,
      expect.stringMatching(/was revoked on .* \(compromised\), so nothing can be written with it/),
    ])
    for (const spoke of council.spokes) {
      await soon(async () => {
        const answer = await spoke.post(after.submission)
        const { error } = json<{ error?: { code: string } }>(answer)
        expect([answer.status, error?.code]).toEqual([403, 'KEY_REVOKED'])
      })
    }
    // By now every spoke knows, also the one whose word of the key server is less than a day old.
    for (const at of ['a', 'b', 'c']) {
      expect((await signUp(next, own, at)).status, at).toBe(403)
      expect(await words(next)).toContain('was revoked on')
      expect((await logIn(next, own.publicKey, at)).status, at).toBe(403)
      expect((await logIn(next, 'maria', at)).status, at).toBe(403)
    }
    // The login of before shows her that, and publishes nothing.
    await visitor.open(door.url('a.spoke', '/my'))
    expect(await words(visitor)).toMatch(/It was revoked on .*: nothing new can be published/)
    await next.open(door.url('maria'))
    expect(await words(next)).toContain('somebody else may have it (compromised)')
  })

  it('is refused at sign-up when the key server has a revocation that its owner does not paste', async () => {
    const own = makeKey('noor')
    gpg.importKey(gpg.makeRevocation(own.key, 'retired'))
    await sks.add(gpg.exportKey(own.key))
    await using visitor = await browser.visitor()
    const { status } = await signUp(visitor, own)
    expect([status, await words(visitor)]).toEqual([403, expect.stringContaining('was revoked on')])
    // What she pasted is still there.
    expect(await visitor.page.getByLabel('Your public key').inputValue()).toContain('BEGIN PGP')
  })

  it('goes on while the key server cannot be asked, and My blogs says so', async () => {
    const own = makeKey('zoe')
    await sks.stop()
    await using visitor = await browser.visitor()
    await signUp(visitor, own, 'b')
    await prove(visitor)
    expect(new URL(visitor.page.url()).pathname).toBe('/start/blog')
    await visitor.open(door.url('b.spoke', '/my'))
    expect(await words(visitor)).toMatch(/Key servers: .*could not be asked/)
  })
})
