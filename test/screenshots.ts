import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openBrowser, type TestBrowser } from './support/browser.ts'
import { pageTypes } from './support/page-types.ts'
import { type Site, startSite } from './support/site.ts'

// `npm run screenshots`: every page type into the folder `screenshots`, to be looked at.

const folder = join(import.meta.dirname, '../screenshots')
const widths = { phone: 390, desktop: 1280 } as const

let site: Site
let browser: TestBrowser
beforeAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder)
  ;[site, browser] = await Promise.all([startSite(), openBrowser()])
})
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]()
  await site?.[Symbol.asyncDispose]()
})

it.each(pageTypes)('$name', async ({ name, status, open }) => {
  await using visitor = await browser.visitor()
  expect((await open(visitor, site)).status).toBe(status)
  for (const [device, width] of Object.entries(widths)) {
    await visitor.page.setViewportSize({ width, height: 844 })
    for (const colorScheme of ['light', 'dark'] as const) {
      await visitor.page.emulateMedia({ colorScheme })
      const path = join(folder, `${name}-${device}-${colorScheme}.png`)
      await visitor.page.screenshot({ path, fullPage: true })
    }
  }
})
