import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { createApp } from '../../src/web/app.ts'
import { host } from './browser.ts'
import { fingerprint, logOf, openLog } from './memory-spoke.ts'
import { spokeWithDoor } from './visitor.ts'

const spokeHost = host('b.spoke')
const edit = host('edit.maria')
const places = [
  ...['', 'b.spoke', 'a.spoke', 'maria', 'edit.maria', 'edit--maria', 'nobody'].map(host),
  'http://EDIT.MARIA.blogs.localhost:8380',
  'http://b.spoke.blogs.localhost.:8380',
  'http://[::1]:8380',
]
const paths = [
  ...['/', '/login', '/login/answer', '/login/wait', '/login/c', '/login/a', '/logout', '/my'],
  ...['/enter', '/enter?blog=maria', '/enter?blog=%ff', '/enter?t=a.b', '/start', '/start/blog'],
  ...['/sign', '/sign/wait', `/sign/${'a'.repeat(32)}`, `/sign/${'a'.repeat(32)}.txt`, '/log'],
  ...['/write', '/write?slug=one&from=x', '/write?slug=__proto__', '/remove?slug=one', '/about'],
  ...['/published', '/published?seq=1e3', '/published?seq=-1&id=x', '/revoke', '/acts?before=x'],
  ...['/receipts/maria/b.txt', '/receipts/%ff/b.txt', '/%ff', '/%00', '/login?next=%ff'],
  ...[
    '/search?q=%00&after=%ff',
    '/search?q=%zz%ff&order=__proto__',
    '/search?q[]=a&q=b',
    '/?lang=%ff',
  ],
  ...['/tag/%ff', '/tag/%00?after=%ff', '/lang/%ff/feed.rss', '/lang/__proto__/feed.atom'],
  ...['/blogs?after=%ff', '/blogs?after=__proto__', '/blogs.opml?x', '/opensearch.xml?%'],
  ...['//evil.example', '/..//evil.example', '//evil.example/..//evil.example'],
]
const form = 'application/x-www-form-urlencoded'
const bodies: readonly [type: string, body: string][] = [
  [form, 'token=%ff%00&text=%zz&who=%00&key=%00&name=%00&signed=&base=x&action=sign'],
  ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="who"\r\n\r\nb'],
  ['multipart/form-data', ''],
  ['text/plain', '\0'],
]

/** An app at which `maria` is written with the key of whoever comes with a cookie. */
async function app() {
  const spoke = await spokeWithDoor({
    maria: openLog(logOf('maria', { kind: 'post', slug: 'one', title: 'One', body: 'x' })),
  })
  const failures: unknown[] = []
  const created = createApp(spoke, (error) => failures.push(error))
  const browser = '0'.repeat(32)
  const token = createHash('sha256').update(`council-form\n${browser}`).digest('base64url')
  let clients = 0
  const ask = async (url: string, init: RequestInit, isLoggedIn: boolean) => {
    const at = new URL(url).hostname.replace(/\.$/, '')
    const of = { key: fingerprint as Fingerprint, host: at, id: null }
    const session = isLoggedIn ? `; __Host-council=${spoke.signToken('session', of)}` : ''
    const headers = {
      ...{ accept: 'text/html', host: new URL(url).host, origin: new URL(url).origin },
      ...{ cookie: `__Host-council-browser=${browser}${session}`, ...init.headers },
    }
    clients += 1
    const remoteAddress = `10.0.${clients >> 8}.${clients & 255}`
    const answer = await created.request(new Request(url, { ...init, headers }), undefined, {
      remoteAddress,
    })
    await answer.arrayBuffer()
    return answer
  }
  return { ask, failures, token }
}

describe('odd requests', () => {
  it.each(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND'])(
    'by %s are answered at every address, and lead nowhere outside the zone',
    async (method) => {
      const { ask, failures } = await app()
      const sent = method === 'POST' ? bodies : ([[form, undefined]] as const)
      const strange: string[] = []
      for (const place of places) {
        for (const path of paths) {
          for (const [type, body = null] of sent) {
            for (const isLoggedIn of [false, true]) {
              const headers = { 'content-type': type }
              const answer = await ask(place + path, { method, body, headers }, isLoggedIn)
              const to = new URL(answer.headers.get('location') ?? '/', place).host
              const isHere = /^(?:[^.]+\.)*blogs\.localhost\.?:8380$|^\[::1\]:8380$/.test(to)
              if (answer.status >= 500 || !isHere) strange.push(`${answer.status} ${place}${path}`)
            }
          }
        }
      }
      expect([strange, failures]).toEqual([[], []])
    },
  )

  it('with any words in any field of a form are answered with a page', async () => {
    const { ask, failures, token } = await app()
    const words = ['', '\0', '\u202e', '__proto__', 'é'.repeat(200), '-1', '1e999', 'a\rb', '<b>']
    const forms: readonly [action: string, fields: readonly string[]][] = [
      [`${edit}/write`, ['base', 'slug', 'title', 'body', 'lang', 'tags', 'action', 'text']],
      [`${edit}/remove`, ['slug', 'body']],
      [`${edit}/about`, ['title', 'lang', 'about']],
      [`${edit}/sign`, ['text', 'signed']],
      [`${spokeHost}/login`, ['who', 'next']],
      [`${spokeHost}/login/answer`, ['id', 'answer', 'next']],
      [`${spokeHost}/start`, ['key', 'gpgId']],
      [`${spokeHost}/start/blog`, ['name']],
    ]
    const usual = { base: '1', slug: 'one', title: 'T', body: 'B', lang: 'es', action: 'preview' }
    for (const [action, fields] of forms) {
      for (const field of fields) {
        for (const word of words) {
          for (const base of [usual.base, '0', 'x']) {
            const body = new URLSearchParams({ ...usual, base, token, [field]: word }).toString()
            const headers = { 'content-type': form }
            const answer = await ask(action, { method: 'POST', body, headers }, true)
            expect(answer.status, `${action} ${field} ${word}`).toBeLessThan(500)
          }
        }
      }
    }
    expect(failures).toEqual([])
  })
})
