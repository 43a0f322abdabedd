import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { logIn, press } from '../support/author-pages.ts'
import { openBrowser, type TestBrowser, type Visitor } from '../support/browser.ts'
import { has } from '../support/debian.ts'
import { pageTypes } from '../support/page-types.ts'
import { type Site, startSite } from '../support/site.ts'

const year = new Date().getUTCFullYear()
const focusable =
  'a[href], button:enabled, input:enabled:not([type=hidden]), select, textarea, summary, [tabindex="0"]'

/** Where the focus is, as somebody sees it who has no mouse. */
type Focused = {
  readonly outline: string
  readonly pixels: number
  readonly isInView: boolean
  /** which of all elements it is */
  readonly place: string
}
const describeFocus = `(() => {
  const element = document.activeElement
  if (element === null || element === document.body) return null
  const { outlineStyle, outlineWidth } = getComputedStyle(element)
  const { top, bottom } = element.getBoundingClientRect()
  return {
    outline: outlineStyle,
    pixels: Number.parseFloat(outlineWidth),
    isInView: top < innerHeight && bottom > 0,
    place: String([...document.querySelectorAll('*')].indexOf(element)),
  }
})()`

/** What Tab does not lead to, or leads to without showing where one is. */
async function unreached(page: Page): Promise<string[]> {
  const wanted = await page.locator(focusable).count()
  const seen = new Set<string>()
  const wrong: string[] = []
  for (let presses = 0; presses <= wanted && seen.size < wanted; presses++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate<Focused | null>(describeFocus)
    if (focused === null) continue
    const { outline, pixels, isInView, place } = focused
    if (outline !== 'solid' || pixels < 2 || !isInView) wrong.push(JSON.stringify(focused))
    seen.add(place)
  }
  return seen.size === wanted ? wrong : [...wrong, `${seen.size} of ${wanted} reached`]
}

describe.skipIf(!has('chromium'))('pages in a browser', () => {
  let site: Site
  let browser: TestBrowser
  let visitor: Visitor
  beforeAll(async () => {
    ;[site, browser] = await Promise.all([startSite(), openBrowser()])
    visitor = await browser.visitor()
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await site?.[Symbol.asyncDispose]()
  })

  it.each(pageTypes)(
    '$name: valid, reached by keyboard, good for axe, and nothing but the page',
    async (type) => {
      const { status, source } = await type.open(visitor, site)
      expect(status).toBe(type.status)
      expect(await unreached(visitor.page)).toEqual([])
      expect(await visitor.problems()).toEqual([])
      expect(visitor.loaded.splice(0)).toEqual([])
      expect(source).not.toContain('<script')
      expect(Buffer.byteLength(source)).toBeLessThan(30 * 1024)
    },
  )

  it('runs from right to left where the language does, and only there', async () => {
    await using visitor = await browser.visitor({ width: 390 })
    const { page } = visitor
    const sideOf = async (selector: string) => {
      const [left = 0, right = 0] = await page.evaluate<number[]>(
        `(() => {
          const range = document.createRange()
          range.selectNodeContents(document.querySelector(${JSON.stringify(selector)}))
          const boxes = [...range.getClientRects()].filter(({ width }) => width > 0)
          return [Math.min(...boxes.map((box) => box.left)), innerWidth - Math.max(...boxes.map((box) => box.right))]
        })()`,
      )
      return right < left ? 'right' : 'left'
    }
    await visitor.open(site.door.url('noor', `/${year}/article-1`))
    expect(await sideOf('article h1')).toBe('right')
    expect(await sideOf('article p')).toBe('right')
    expect(await sideOf('footer p')).toBe('left')
    await visitor.open(site.door.url('noor'))
    expect(await sideOf('main li > a')).toBe('right')
    expect(await sideOf('main li > small')).toBe('right')
    // On a page in English each item of a list runs as its own post does.
    const found = `/search?q=${encodeURIComponent('الكرامة')}`
    for (const path of ['/', '/?lang=ar', '/tag/udhr', found]) {
      await visitor.open(site.door.url('', path))
      for (const part of ['a', 'p', 'small']) {
        expect(await sideOf(`main li[lang=ar] > ${part}`), path).toBe('right')
      }
      expect(await sideOf('main h1')).toBe('left')
    }
    await visitor.open(site.door.url(''))
    for (const part of ['a', 'p', 'small']) {
      expect(await sideOf(`main li[lang=zh-Hans] > ${part}`)).toBe('left')
    }
  })

  it('prints the text and who signed it, without what only a screen needs', async () => {
    await using visitor = await browser.visitor({ colorScheme: 'dark' })
    const { page } = visitor
    for (const path of [`/${year}/article-1`, '/history/everything?from=3&to=4']) {
      await visitor.open(site.door.url('maria', path))
      await page.emulateMedia({ media: 'print' })
      for (const gone of await page.locator('header, nav, form, details, button').all()) {
        expect(await gone.isVisible()).toBe(false)
      }
      expect(await page.locator('main h1').isVisible()).toBe(true)
      const colours = await page.evaluate<string[]>(
        '[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]',
      )
      expect(colours).toEqual(['rgb(255, 255, 255)', 'rgb(0, 0, 0)'])
      await page.emulateMedia({ media: null })
    }
    expect(await page.locator('footer').isVisible()).toBe(true)
  })

  it.each([
    ['with scripts allowed', true],
    ['with scripts off', false],
  ])('give back all that was typed to who goes back from an error, %s', async (_, javaScript) => {
    await using author = await browser.visitor({ javaScript })
    const { page } = author
    await logIn(author, site.door.url('a.spoke', '/login'), 'maria', site.authors.maria)
    await author.open(site.door.url('a.spoke', '/enter?blog=maria&to=/write'))
    const typed = { Title: 'Not lost', Text: '人'.repeat(60_000), Tags: 'plaza, b' }
    for (const [label, text] of Object.entries(typed)) await page.getByLabel(label).fill(text)
    expect((await press(author, 'Preview')).status).toBe(413)
    expect(await page.textContent('main')).toContain('what you typed is still there')
    await page.goBack()
    for (const [label, text] of Object.entries(typed)) {
      expect(await page.getByLabel(label).inputValue()).toBe(text)
    }
  })

  it('say how to export a key that comes with six megabytes of other people’s signatures', async () => {
    await using newcomer = await browser.visitor()
    const { page } = newcomer
    await newcomer.open(site.door.url('a.spoke', '/start'))
    await page.getByLabel('Your gpg id').fill('maria')
    // Sent in one go: to lay so much text out takes the browser a minute.
    const send = `(() => {
      const key = document.querySelector('#key')
      key.style.display = 'none'
      key.value = 'A'.repeat(6e6)
      key.form.submit()
    })()`
    const { status } = await newcomer.follow(() => page.evaluate(send))
    expect(status).toBe(413)
    expect(await page.textContent('main')).toContain('--export-options export-minimal')
  })

  it('are the same to somebody without scripts', async () => {
    await using without = await browser.visitor({ javaScript: false })
    const path = `/history/everything`
    await without.open(site.door.url('maria', path))
    await without.page.selectOption('[name=from]', '3')
    const { status } = await without.follow(() => without.page.click('form button'))
    expect([status, new URL(without.page.url()).search]).toEqual([200, '?from=3&to=4'])
    expect(without.incidents).toEqual([])
  })
})
