import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Door,
  openBrowser,
  openDoor,
  type TestBrowser,
  type Visitor,
} from '../support/browser.ts'
import { startCouncil, type TestCouncil } from '../support/council.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'

const isWhole = ['chromium', 'gpg', 'curl'].every(has)

describe.skipIf(!isWhole)('an author with a browser and gpg', () => {
  let council: TestCouncil
  let door: Door
  let browser: TestBrowser
  let folder: string
  const gpg = new GpgHome()
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-author-'))
    ;[council, browser] = await Promise.all([
      startCouncil({
        ...{ spokes: 3, ownAddresses: true, processes: true, dns: ['a', 'b'] },
        // The authority moves nothing before a silence has passed since its start.
        failover: { silenceMs: 4_000 },
      }),
      openBrowser(),
    ])
    door = await openDoor(council)
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await door?.[Symbol.asyncDispose]()
    await council?.[Symbol.asyncDispose]()
    gpg[Symbol.dispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** Pastes a line from the page into a shell, and presses Enter once. */
  const shell = async (line: string): Promise<string> => {
    const env = { ...process.env, GNUPGHOME: gpg.dir }
    const child = spawn('bash', ['-c', line], { cwd: folder, env })
    let out = ''
    child.stdout.on('data', (part) => {
      out += part
    })
    child.stdin.end('\n')
    await once(child, 'close')
    return out
  }
  const textOf = async (visitor: Visitor, selector: string, hasText?: string) => {
    const found = visitor.page.locator(selector, hasText === undefined ? {} : { hasText })
    return (await found.first().textContent()) ?? ''
  }
  const code = (visitor: Visitor, beginning: string) => textOf(visitor, 'pre code', beginning)
  const button = (visitor: Visitor, name: string) =>
    visitor.follow(() => visitor.page.getByRole('button', { name, exact: true }).click())
  const link = (visitor: Visitor, name: string | RegExp) =>
    visitor.follow(() => visitor.page.getByRole('link', { name }).first().click())
  const fill = (visitor: Visitor, label: string, text: string) =>
    visitor.page.getByLabel(label, { exact: false }).first().fill(text)
  const heading = (visitor: Visitor) => textOf(visitor, 'h1')
  const words = (visitor: Visitor) => textOf(visitor, 'main')
  /** Looks again as the page's own refresh does, until it says so. */
  const until = (visitor: Visitor, has: RegExp) =>
    expect.poll(() => words(visitor), { timeout: 30_000 }).toMatch(has)
  /** Nothing is wrong with the page; without script axe has nothing to run in. */
  const good = async (visitor: Visitor) => expect(await visitor.problems()).toEqual([])

  const signUp = async (visitor: Visitor, blog: string, key: string, isLooked: boolean) => {
    const look = () => (isLooked ? good(visitor) : undefined)
    await visitor.open(door.url('', '/'))
    await link(visitor, 'Start a blog')
    await look()
    await fill(visitor, 'Your public key', gpg.exportKey(key))
    await fill(visitor, 'Your gpg id', `${blog}@example.org`)
    await button(visitor, 'Go on')
    await look()
    const message = await code(visitor, '-----BEGIN PGP MESSAGE')
    const decrypted = gpg.run(['-qd'], { input: message }).stdout
    await fill(visitor, 'The code', /^code: (.*)$/m.exec(decrypted)?.[1] ?? '')
    await button(visitor, 'Log in')
    await look()
    await fill(visitor, 'Name of the blog', blog)
    await button(visitor, 'Ask for this name')
    await look()
    await fill(visitor, 'The signature', await shell(await code(visitor, 'curl')))
    await button(visitor, 'Ask for the name')
    await until(visitor, /Write your first post/)
    await look()
  }

  const makeKey = (blog: string) => {
    const key = gpg.makeKey(`${blog} <${blog}@example.org>`, 'ed25519')
    gpg.addSubkey(key, 'cv25519', 'encr')
    return key
  }

  it.each([
    ['with scripts allowed', true, 'maria'],
    ['with scripts off', false, 'zoe'],
  ])('goes the whole way, %s', async (_, javaScript, blog) => {
    const key = makeKey(blog)
    await using visitor = await browser.visitor({ javaScript })
    const look = () => (javaScript ? good(visitor) : undefined)
    await signUp(visitor, blog, key, javaScript)
    // Written by paste …
    await link(visitor, 'Write your first post')
    expect(await heading(visitor)).toBe('Write a post')
    await look()
    await fill(visitor, 'Title', '¿Qué es un consejo?')
    await fill(visitor, 'Text', 'Muchos grupos, **un** nombre.\n\nEntre todas.')
    await fill(visitor, 'Language', 'es')
    await fill(visitor, 'Tags', 'plaza, asamblea')
    await button(visitor, 'Preview')
    expect(await visitor.page.locator('article').innerHTML()).toContain('<strong>un</strong>')
    await look()
    await button(visitor, 'Sign and publish')
    await look()
    const text = await code(visitor, 'council-entry 1')
    await fill(visitor, 'The signature', gpg.sign(text, key, 'clear'))
    // Clicked twice, so sent twice: the seq of the next entry shows that it was one.
    await visitor.page.getByRole('button', { name: 'Publish', exact: true }).dblclick()
    await until(visitor, /Published\.[\s\S]*3 of 3 servers/)
    await look()
    // … and changed by the one line, while the tab waits.
    await link(visitor, `Back to ${blog}`)
    await look()
    await link(visitor, 'change')
    await fill(visitor, 'Text', 'Muchos grupos, **ningún** centro.\n\nEntre todas.')
    await button(visitor, 'Preview')
    expect(await visitor.page.locator('ins').allInnerTexts()).toContain('ningún')
    await button(visitor, 'Sign and publish')
    const line = await code(visitor, 'read -r')
    await link(visitor, 'wait here for the line')
    expect(await shell(line)).toContain('Muchos grupos, **ningún** centro.')
    await until(visitor, /Published\.[\s\S]*3 of 3 servers/)
    // What readers see, at any spoke, and its history.
    const year = new Date().getUTCFullYear()
    await visitor.open(door.url(blog, `/${year}/que-es-un-consejo`))
    expect(await words(visitor)).toContain('Muchos grupos, ningún centro.')
    await link(visitor, 'all versions and what changed')
    await link(visitor, 'what changed')
    expect(await visitor.page.locator('del').allInnerTexts()).toContain('un')
    await link(visitor, 'restore')
    expect(await visitor.page.getByLabel('Text').inputValue()).toContain('**un** nombre')
    // Where the copies are.
    await link(visitor, 'My blogs')
    await look()
    const roles = await visitor.page.locator('tbody tr td:first-of-type').allInnerTexts()
    expect(roles.sort()).toEqual(['keeps a copy', 'keeps a copy', 'takes what you write'])
    const since = await visitor.page.locator('tbody time').allInnerTexts()
    expect(since).toEqual(Array(3).fill(expect.stringMatching(/ at [0-9:]{8} UTC$/)))
    expect(await words(visitor)).toContain('Nobody has handed in a revocation of it here.')
    const everything = visitor.page.getByRole('link', { name: 'everything in one file' })
    expect(await everything.getAttribute('href')).toBe(door.url(blog, '/export.tar'))
    const receipt = visitor.page.getByRole('link', { name: 'text', exact: true }).first()
    const receiptUrl = new URL((await receipt.getAttribute('href')) ?? '')
    const receiptText = await shell(
      `curl -fsS --resolve '*:${receiptUrl.port}:127.0.0.1' '${receiptUrl.href}'`,
    )
    expect(receiptText).toContain(`log ${blog}\nseq 2\n`)
    // Removed, with the back button pressed after it.
    await link(visitor, 'Write for it')
    await link(visitor, 'remove')
    await look()
    await button(visitor, 'Go on to sign')
    await fill(visitor, 'The signature', await shell(await code(visitor, 'curl')))
    await button(visitor, 'Remove the post')
    await until(
      visitor,
      /Published\.[\s\S]*The post is removed: at its address readers find a note/,
    )
    // Back, and sent a second time: it is the same entry.
    await visitor.page.goBack()
    expect(await visitor.page.getByLabel('The signature').inputValue()).toContain('BEGIN PGP')
    await button(visitor, 'Remove the post')
    await until(visitor, /Published\./)
    expect((await visitor.open(door.url(blog, `/${year}/que-es-un-consejo`))).status).toBe(410)
    // Its author finds the way to bring it back.
    await link(visitor, 'bring it back')
    expect(await heading(visitor)).toBe('Change a post')
    expect(await visitor.page.getByLabel('Text').inputValue()).toContain('**ningún** centro')
    // Out, and in again by the one line.
    await visitor.open(door.url(`edit.${blog}`))
    await button(visitor, 'Log out')
    await look()
    await link(visitor, 'Log in again')
    await fill(visitor, 'Your blog’s name', blog)
    await button(visitor, 'Go on')
    const login = await code(visitor, 'gpg -qd')
    await link(visitor, 'wait here for the line')
    expect(await shell(login)).toContain('is logged in now')
    await until(visitor, /You are logged in with the key/)
    expect(visitor.incidents).toEqual([])
  })

  it('moves her blog to another server, and publishes there', async () => {
    const key = makeKey('luz')
    await using visitor = await browser.visitor()
    await signUp(visitor, 'luz', key, true)
    const { primary, secondary } = await council.roles('luz')
    const [from, to] = [primary[0]?.name as string, secondary[0]?.name as string]
    await link(visitor, 'Write your first post')
    await link(visitor, 'My blogs')
    await link(visitor, 'Move it to another server')
    await good(visitor)
    expect(await heading(visitor)).toBe('Copies of luz')
    await visitor.page.getByLabel('Server').selectOption(to)
    await button(visitor, 'Go on to sign')
    await good(visitor)
    const text = await code(visitor, 'council-order 1')
    expect(text).toContain(`\nspoke ${to}\n`)
    await fill(visitor, 'The signature', gpg.sign(text, key, 'clear'))
    await button(visitor, 'Move the blog')
    await until(visitor, new RegExp(`Moved\\. ${to} takes what you write, since epoch 2`))
    await good(visitor)
    expect((await council.roles('luz')).primary.map(({ name }) => name)).toEqual([to])
    // Too soon for another one: the terminal says so, and the tab that waits.
    await visitor.page.getByLabel('Server').selectOption(from)
    await button(visitor, 'Go on to sign')
    const line = await code(visitor, 'read -r')
    await link(visitor, 'wait here for the line')
    expect(await shell(line)).toContain('luz was ordered to another server a moment ago')
    await until(visitor, /luz was ordered to another server a moment ago/)
    // What she writes goes to the server that she chose.
    await visitor.open(door.url('edit.luz', '/write'))
    await fill(visitor, 'Title', 'From the new server')
    await fill(visitor, 'Text', 'Some words.')
    await button(visitor, 'Sign and publish')
    await fill(visitor, 'The signature', gpg.sign(await code(visitor, 'council-entry 1'), key))
    await button(visitor, 'Publish')
    await until(visitor, /Published\.[\s\S]*3 of 3 servers/)
    // The order is public.
    await visitor.open(door.url('', '/acts'))
    expect(await words(visitor)).toContain(`its author ordered it to ${to}`)
    expect(visitor.incidents).toEqual([])
  })

  it('loses nothing when the primary is killed between preview and publish', async () => {
    const key = makeKey('kim')
    await using visitor = await browser.visitor()
    await signUp(visitor, 'kim', key, false)
    // The tab may be closed: whoever comes back finds the claim at any spoke.
    const { pathname } = new URL(visitor.page.url())
    for (const label of ['', 'a.spoke', 'b.spoke', 'c.spoke']) {
      await using again = await browser.visitor({ javaScript: false })
      await again.open(door.url(label, pathname))
      expect(await heading(again), label).toBe('The blog kim is ready')
    }
    const { primary } = await council.roles('kim')
    await link(visitor, 'Write your first post')
    await fill(visitor, 'Title', 'In the middle of it')
    await fill(visitor, 'Text', 'A text that must survive.')
    await button(visitor, 'Preview')
    const cookies = await visitor.context.cookies(door.url('edit.kim'))
    const session = cookies.find(({ name }) => name === '__Host-council')?.value ?? ''
    expect(Buffer.from(session, 'base64url').toString()).toContain(
      `\npeer ${primary[0]?.line.peerId}\n`,
    )
    await primary[0]?.kill()
    // The edit host leads to a secondary, which takes the session that the dead one signed.
    await button(visitor, 'Sign and publish')
    const text = await code(visitor, 'council-entry 1')
    expect(text).toContain('A text that must survive.')
    const signed = gpg.sign(text, key, 'detached')
    await fill(visitor, 'The signature', signed)
    await button(visitor, 'Publish')
    expect(await words(visitor)).toContain('does not answer. Nothing was stored')
    expect(await code(visitor, 'council-entry 1')).toBe(text)
    expect(await visitor.page.getByLabel('The signature').inputValue()).toContain(signed.trim())
    // It is as the sentence says: sent once more when the primary is back, it is published.
    await primary[0]?.start()
    await expect
      .poll(
        async () => {
          if (/\/sign$/.test(visitor.page.url())) await button(visitor, 'Publish')
          return words(visitor)
        },
        { timeout: 30_000, interval: 1_000 },
      )
      .toMatch(/Published\./)
  })
})
