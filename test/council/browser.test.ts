import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { has } from '../support/debian.ts'

const bad = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Bad</title>
<style>p { color: #999; background: #fff; width: 900px }</style></head>
<body><main><h1>Bad</h1><p style="color: red">Grey <a href="/">x</a></p><img src="https://example.org/x.png">
<script>alert('hello'); throw new Error('oops')</script><script src="/later.js"></script></main></body></html>`

// The other tests believe this harness when it finds nothing: so it must find each of these.
describe.skipIf(!has('chromium'))('the browser of the tests', () => {
  let browser: TestBrowser
  const server = createServer((request, response) => {
    const policy = request.url?.startsWith('/policy')
      ? { 'content-security-policy': "default-src 'none'" }
      : {}
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...policy })
    response.end(bad)
  })
  const url = (path: string) =>
    `http://x.localhost:${(server.address() as AddressInfo).port}${path}`
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    browser = await openBrowser()
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    server.closeAllConnections()
    server.close()
  })

  it('tells scripts, dialogs, loads, requests to elsewhere, axe’s rules, bad HTML and width', async () => {
    await using visitor = await browser.visitor()
    await visitor.open(url('/'))
    const problems = (await visitor.problems()).join('\n')
    for (const found of [
      'dialog: hello',
      'script: Error: oops',
      'request: https://example.org/x.png',
      'axe, light: image-alt',
      'axe, light: color-contrast',
      'axe, dark: color-contrast',
      'html: no-inline-style',
      'phone: ',
    ]) {
      expect(problems).toContain(found)
    }
    expect(visitor.loaded).toContain(url('/later.js'))
  })

  it.each([true, false])(
    'tells violations of the policy, with scripts allowed: %s',
    async (javaScript) => {
      await using visitor = await browser.visitor({ javaScript })
      await visitor.open(url('/policy'))
      await expect
        .poll(() => visitor.incidents.join('\n'))
        .toMatch(/Content Security Policy.*style/i)
      expect(visitor.incidents.some((each) => each.startsWith('policy: '))).toBe(javaScript)
      expect(visitor.incidents.some((each) => each.startsWith('dialog'))).toBe(false)
    },
  )
})
