import { execFileSync } from 'node:child_process'
import { afterAll, describe, expect, it } from 'vitest'
import { decryptFirstLine } from '../../src/auth/login-text.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'
import { host } from './browser.ts'
import { decodeHtml, spokeWithDoor, Visitor } from './visitor.ts'

const spokeHost = host('b.spoke')

describe.skipIf(!has('gpg'))('logging in with a real gpg', () => {
  const gpg = new GpgHome()
  afterAll(() => gpg[Symbol.dispose]())

  const keyFor = (algorithm: string) => {
    const key = gpg.makeKey(`Maria ${algorithm} <maria@example.org>`, algorithm)
    return key
  }
  const message = (html: string) =>
    decodeHtml(/<pre[^>]*><code>(-----BEGIN PGP MESSAGE[\s\S]*?)<\/code>/.exec(html)?.[1] ?? '')
  const codeIn = (text: string) => /^code: (.*)$/m.exec(text)?.[1] ?? ''

  it.each([
    ['ed25519', 'cv25519'],
    ['rsa3072', 'rsa3072'],
    ['nistp256', 'nistp256'],
  ])('lets a %s key in that decrypts', async (algorithm, encryption) => {
    const key = keyFor(algorithm)
    gpg.addSubkey(key, encryption, 'encr')
    const visitor = new Visitor(await spokeWithDoor({}))
    await visitor.open(`${spokeHost}/login`)
    const shown = await visitor.send('/login', { who: gpg.exportKey(key) })
    expect(shown.url).toContain('/login/answer')
    const text = gpg.run(['-qd'], { input: message(shown.html) }).stdout
    expect(text.split('\n')[0]).toBe(decryptFirstLine)
    expect(text).toContain('host b.spoke.blogs.localhost')
    const inside = await visitor.send('/login/answer', { answer: codeIn(text) })
    expect([inside.status, new URL(inside.url).pathname]).toEqual([200, '/my'])
    expect(inside.words).toContain('You are logged in with the key')
  })

  it('sends from the terminal nothing but the code of a login at this host', async () => {
    const key = keyFor('ed25519')
    gpg.addSubkey(key, 'cv25519', 'encr')
    const visitor = new Visitor(await spokeWithDoor({}))
    await visitor.open(`${spokeHost}/login`)
    const shown = await visitor.send('/login', { who: gpg.exportKey(key) })
    const filter = / \| (sed -n '[^']*') \| /.exec(decodeHtml(shown.html))?.[1] ?? ''
    const sent = (text: string) => execFileSync('sh', ['-c', filter], { input: text }).toString()
    const text = gpg.run(['-qd'], { input: message(shown.html) }).stdout
    expect(sent(text)).toBe(codeIn(text))
    const mail = 'Dear Maria,\nhost b.spoke.blogs.localhost\ncode: of the safe'
    for (const other of [
      mail,
      `${mail}\n${text}`,
      text.replace('host b.spoke', 'host c.spoke'),
      text.replace('b.spoke', 'bxspoke'),
      text.replace('council-login/1', 'council-login/12'),
      text.replace('council-login/1', ' council-login/1'),
    ]) {
      expect(sent(other)).toBe('')
    }
  })

  it('lets a sign-only key in that signs the line', async () => {
    const key = keyFor('ed25519')
    const visitor = new Visitor(await spokeWithDoor({}))
    await visitor.open(`${spokeHost}/login`)
    const shown = await visitor.send('/login', { who: gpg.exportKey(key) })
    const text = decodeHtml(
      /<code>(council-login-sign\/1[\s\S]*?)<\/code>/.exec(shown.html)?.[1] ?? '',
    )
    // Somebody with several keys signs with this one.
    expect(shown.words).toContain(`gpg -u ${key} --clearsign`)
    const inside = await visitor.send('/login/answer', { answer: gpg.sign(text, key, 'clear') })
    expect(new URL(inside.url).pathname).toBe('/my')
  })
})
