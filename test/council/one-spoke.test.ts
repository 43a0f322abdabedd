import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import {
  type Door,
  openBrowser,
  openDoor,
  type TestBrowser,
  type Visitor,
} from '../support/browser.ts'
import { soon, startCouncil, type TestCouncil, zone } from '../support/council.ts'
import { has } from '../support/debian.ts'

const clicks = 20

describe.skipIf(!has('chromium'))('somebody who comes by the name of the zone', () => {
  let council: TestCouncil
  let door: Door
  let browser: TestBrowser
  beforeAll(async () => {
    ;[council, browser] = await Promise.all([
      startCouncil({ spokes: 3, ownAddresses: true }),
      openBrowser(),
    ])
    // Each request asks DNS anew, which rotates its answers: the worst that a resolver may do.
    door = await openDoor(council, 0)
    const blog = await council.claim('maria', await makeSigner())
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await door?.[Symbol.asyncDispose]()
    await council?.[Symbol.asyncDispose]()
  })

  const servedBy = async ({ page }: Visitor) =>
    /Served by ([a-z])\b/.exec((await page.textContent('body')) ?? '')?.[1] ?? null

  it('is answered by one spoke after the other when coming anew', async () => {
    await using visitor = await browser.visitor()
    const met = new Set<string | null>()
    await soon(async () => {
      await visitor.open(door.url(''))
      met.add(await servedBy(visitor))
      expect(met).toEqual(new Set(['a', 'b', 'c']))
    })
  })

  it(`stays on the spoke that answered first, ${clicks} clicks long, also from its errors`, async () => {
    await using visitor = await browser.visitor({ javaScript: false })
    const { page } = visitor
    await visitor.open(door.url(''))
    const first = await servedBy(visitor)
    const home = `${first}.spoke.${zone}`
    const clicked = new Map<string, number>()
    for (let click = 0; click < clicks; click++) {
      const links = await page.evaluate<string[]>(
        `[...document.querySelectorAll('a[href]')].map(({ href }) => href)`,
      )
      const next = links
        .filter((href) => isPage(new URL(href)))
        .sort((one, other) => (clicked.get(one) ?? 0) - (clicked.get(other) ?? 0))[0]
      expect(next, page.url()).toBeDefined()
      clicked.set(next ?? '', (clicked.get(next ?? '') ?? 0) + 1)
      const { status } = await visitor.follow(() =>
        page.locator(`a[href="${next}"]`).first().click(),
      )
      expect(status, next).toBe(200)
      expect(new URL(page.url()).hostname).toBe(home)
      expect([first, null]).toContain(await servedBy(visitor))
      // Now and then a typing mistake.
      if (click % 5 === 4) await visitor.open(new URL('/no-such-page', page.url()).href)
    }
    expect([...clicked.keys()].map((href) => new URL(href).pathname)).toEqual(
      expect.arrayContaining(['/', '/acts', '/help/keys']),
    )
    // Who writes gets cookies at the spoke's own host, nobody at the zone or for all of it.
    const hosts = (await visitor.context.cookies()).map(({ domain }) => domain)
    expect(
      hosts.filter((each) => !each.endsWith(`.spoke.${zone}`) || each.startsWith('.')),
    ).toEqual([])
  })
})

/** A page of the council itself: a blog's are elsewhere by right, and files are no pages. */
const isPage = ({ hostname, pathname }: URL) =>
  (hostname === zone || hostname.endsWith(`.spoke.${zone}`)) && !/\.[a-z]+$/.test(pathname)
