import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Holder, makeSigner } from '../support/author.ts'
import { logIn, press } from '../support/author-pages.ts'
import {
  type Door,
  openBrowser,
  openDoor,
  type TestBrowser,
  type Visitor,
} from '../support/browser.ts'
import { startCouncil, type TestBlog, type TestCouncil, zone } from '../support/council.ts'
import { has } from '../support/debian.ts'

// A spoke that means harm serves what it likes at the address of a blog; cookies know no ports, so
// here that is a server of its own. To a browser it is the same site as every other blog.

type Bad = { readonly html: string; readonly headers?: Readonly<Record<string, string | string[]>> }

describe.skipIf(!has('chromium'))('a blog that means harm to its siblings', () => {
  let council: TestCouncil
  let door: Door
  let browser: TestBrowser
  let server: Server
  let bad: Bad = { html: '' }
  let maria: { blog: TestBlog; holder: Holder }
  let eve: { holder: Holder }

  beforeAll(async () => {
    ;[council, browser] = await Promise.all([
      startCouncil({ spokes: 2, ownAddresses: true }),
      openBrowser(),
    ])
    door = await openDoor(council)
    const holders = await Promise.all(['Maria', 'Eve'].map(makeSigner))
    const [holder, other] = holders as [Holder, Holder]
    maria = { holder, blog: await council.claim('maria', holder) }
    await council.claim('eve', other)
    eve = { holder: other }
    for (const spoke of council.spokes) await maria.blog.whenWhole(spoke)
    server = createServer((_, answer) => {
      answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...bad.headers })
      answer.end(bad.html)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    server?.close()
    server?.closeAllConnections()
    await door?.[Symbol.asyncDispose]()
    await council?.[Symbol.asyncDispose]()
  })

  const my = () => door.url('a.spoke', '/my')
  const login = () => door.url('a.spoke', '/login')
  const words = async ({ page }: Visitor) => (await page.textContent('main')) ?? ''
  const keyOf = ({ fingerprint }: Holder) => fingerprint.replace(/.{4}(?!$)/g, '$& ')
  /** Leads the browser to a page of the bad server. */
  const lure = async (visitor: Visitor, host: string, page: Bad) => {
    bad = page
    const { port } = server.address() as AddressInfo
    await visitor.open(`http://${host}:${port}/`)
  }
  const sibling = `eve.${zone}`
  const cookieOf = async (visitor: Visitor, name: string) =>
    (await visitor.context.cookies(my())).find((each) => each.name === name)?.value ?? ''

  it('plants cookies that no page for authors looks at, before a login and after it', async () => {
    await using own = await browser.visitor()
    await logIn(own, login(), 'eve', eve.holder)
    expect(await words(own)).toContain(keyOf(eve.holder))
    // All that she would need to make somebody else go on as her.
    const session = await cookieOf(own, '__Host-council')
    const value = await cookieOf(own, '__Host-council-browser')
    const pairs = ['__Host-council', '__HOST-COUNCIL', '=__Host-council', 'council'].flatMap(
      (name) => [`${name}=${session}`, `${name}-browser=${value}`],
    )
    const planted = pairs.flatMap((pair) => [
      `${pair}; Path=/; Domain=${zone}`,
      `${pair}; Path=/; Domain=${zone}; Secure`,
      `${pair}; Path=/my; Domain=${zone}; Secure`,
      `${pair}; Path=/; Secure`,
    ])
    const plant: Bad = {
      headers: { 'set-cookie': planted },
      html: `<title>x</title><script>for (const each of ${JSON.stringify(planted)}) document.cookie = each</script>`,
    }

    await using visitor = await browser.visitor()
    await lure(visitor, sibling, plant)
    expect(await cookieOf(visitor, 'council'), 'something was planted').toBe(session)
    await visitor.open(my())
    expect(visitor.page.url()).toContain('/login')
    await logIn(visitor, login(), 'maria', maria.holder)
    expect(await words(visitor)).toContain(keyOf(maria.holder))

    await lure(visitor, sibling, plant)
    await visitor.open(my())
    expect(await words(visitor)).toContain(keyOf(maria.holder))
    // Her forms are taken as ever, in her own name.
    await visitor.open(door.url('a.spoke', '/start/blog'))
    await visitor.page.getByLabel('Name of the blog').fill('second')
    await press(visitor, 'Ask for this name')
    expect(await words(visitor)).toContain(`key ${maria.holder.fingerprint}`)
    const { context } = visitor
    const seen = (await context.cookies(my())).filter(({ name }) => name.startsWith('__Host-'))
    expect(seen.map(({ domain }) => domain)).toEqual(seen.map(() => `a.spoke.${zone}`))
  })

  it('keeps nobody out by more cookies than a server reads', async () => {
    await using visitor = await browser.visitor()
    const name = (index: number) => `c${index}=${'x'.repeat(3_900)}`
    const many = Array.from({ length: 10 }, (_, index) => `${name(index)}; Domain=${zone}`)
    const year = '; Path=/; Max-Age=31536000'
    await lure(visitor, sibling, {
      headers: { 'set-cookie': many.map((each) => each + year) },
      html: '<title>x</title>',
    })
    const url = door.url('maria')
    expect((await visitor.open(url)).status).toBe(431)
    expect(await visitor.page.textContent('body')).toContain('They are removed now.')
    expect((await visitor.open(url)).status).toBe(200)
    await logIn(visitor, login(), 'maria', maria.holder)
    expect(await words(visitor)).toContain(keyOf(maria.holder))
  })

  describe('and its pages, while an author is logged in', () => {
    let visitor: Visitor
    beforeAll(async () => {
      visitor = await browser.visitor()
      await logIn(visitor, login(), 'maria', maria.holder)
      await visitor.open(door.url('a.spoke', '/enter?blog=maria'))
      expect(await words(visitor)).toContain('Write for maria')
    })
    afterAll(() => visitor?.[Symbol.asyncDispose]())

    const isStillIn = async () => {
      for (const url of [my(), door.url('edit.maria', '/write')]) {
        await visitor.open(url)
        expect(visitor.page.url()).toBe(url)
      }
      for (const spoke of council.spokes) {
        const { blogs } = await spoke.status()
        expect(blogs.find((each) => each.blog === 'maria')?.head?.seq).toBe(0)
      }
    }
    const targets: readonly (readonly [string, string])[] = [
      ['a.spoke', '/logout'],
      ['a.spoke', '/login'],
      ['a.spoke', '/start'],
      ['a.spoke', '/start/blog'],
      ['edit.maria', '/logout'],
      ['edit.maria', '/write'],
      ['edit.maria', '/sign'],
      ['edit.maria', '/remove'],
      ['edit.maria', '/about'],
    ]

    it.each([
      ['a sibling', sibling, {}],
      ['another site', '127.0.0.1', {}],
      ['a sibling that hides where it is from', sibling, { 'referrer-policy': 'no-referrer' }],
    ])('send forms that do nothing: %s', async (_, host, headers) => {
      for (const [label, path] of targets) {
        for (const type of ['application/x-www-form-urlencoded', 'text/plain']) {
          const html = `<title>x</title><form method="post" enctype="${type}" action="${door.url(label, path)}"><input name="who" value="eve"><input name="text" value="x"><button>x</button></form>`
          await lure(visitor, host, { html, headers })
          const { status } = await visitor.follow(() => visitor.page.click('button'))
          expect([status, await words(visitor)], `${label}${path}`).toEqual([
            403,
            expect.stringContaining('page of another address'),
          ])
        }
      }
      await isStillIn()
    })

    it.each([
      ['a sibling', sibling],
      ['another site', '127.0.0.1'],
    ])('neither read nor send nor show a page of hers: %s', async (_, host) => {
      const urls = [my(), ...targets.map(([label, path]) => door.url(label, path))]
      await lure(visitor, host, { html: `<title>x</title>` })
      for (const url of urls) {
        for (const method of ['GET', 'POST']) {
          const read = `fetch(${JSON.stringify(url)}, { method: '${method}', credentials: 'include' }).then((answer) => answer.text(), () => 'nothing')`
          expect(await visitor.page.evaluate(read), `${method} ${url}`).toBe('nothing')
        }
        const blind = `fetch(${JSON.stringify(url)}, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'who=eve' }).then(() => 'sent')`
        expect(await visitor.page.evaluate(blind), `POST ${url}`).toBe('sent')
      }
      const frames = urls.map((url) => `<iframe src="${url}"></iframe>`).join('')
      await lure(visitor, host, { html: `<title>x</title>${frames}` })
      await visitor.page.waitForLoadState('load')
      const [, ...shown] = visitor.page.frames()
      expect(shown).toHaveLength(urls.length)
      // A frame has no address until what it shows has come, also where that is an error.
      for (const frame of shown)
        await expect.poll(() => frame.url()).toBe('chrome-error://chromewebdata/')
      await isStillIn()
    })
  })
})
