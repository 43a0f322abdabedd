import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { has } from '../support/debian.ts'
import { pageTypes } from '../support/page-types.ts'
import { type Site, startSite } from '../support/site.ts'

describe.skipIf(!has('chromium'))('pages in a browser', () => {
  let site: Site
  let browser: TestBrowser
  beforeAll(async () => {
    ;[site, browser] = await Promise.all([startSite(), openBrowser()])
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await site?.[Symbol.asyncDispose]()
  })

  it.each(pageTypes)('$name: valid, for everybody, and nothing but the page', async (type) => {
    await using visitor = await browser.visitor()
    const { status, source } = await type.open(visitor, site)
    expect(status).toBe(type.status)
    expect(await visitor.problems()).toEqual([])
    expect(visitor.loaded).toEqual([])
    expect(source).not.toContain('<script')
    expect(Buffer.byteLength(source)).toBeLessThan(30 * 1024)
  })
})
