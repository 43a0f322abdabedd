import { request } from 'node:http'
import { text as readAll } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Holder, makeSigner, submissionOf } from '../support/author.ts'
import { logIn, press } from '../support/author-pages.ts'
import {
  type Door,
  openBrowser,
  openDoor,
  type TestBrowser,
  type Visitor,
} from '../support/browser.ts'
import { json, startCouncil, type TestBlog, type TestCouncil, zone } from '../support/council.ts'
import { has } from '../support/debian.ts'
import { draftText, publishText } from '../support/site.ts'

/** Nothing listens there: a request would be seen, not answered. */
const elsewhere = 'http://127.0.0.1:9/x'
const payloads = [
  '<script>pwned()</script>',
  '"><script>pwned()</script>',
  `'><img src=x onerror=pwned()>`,
  '</title><script>pwned()</script>',
  '</style><script>pwned()</script>',
  '</textarea></code></pre><script>pwned()</script>',
  '<!--><script>pwned()</script>-->',
  '<svg onload=pwned()>',
  '<svg><script>pwned()</script></svg>',
  '<math><mtext><table><mglyph><style><!--</style><img src=x onerror=pwned()>',
  '<noscript><p title="</noscript><img src=x onerror=pwned()>">',
  '<iframe srcdoc="<script>parent.pwned()</script>">',
  '<details open ontoggle=pwned()>',
  '<input autofocus onfocus=pwned()>',
  `" autofocus onfocus="pwned()" x="`,
  `' style='position:fixed;inset:0' onmouseover='pwned()' x='`,
  '<a href="javascript:pwned()">x</a>',
  '[x](javascript:pwned())',
  '[x](JaVaScRiPt&colon;pwned()) <javascript:pwned()>',
  '[x](data:text/html,<script>pwned()</script>)',
  `![x](${elsewhere}.png) <img src=${elsewhere}>`,
  `<style>@import url(${elsewhere}.css)</style><link rel=stylesheet href=${elsewhere}>`,
  `<meta http-equiv=refresh content="0;url=${elsewhere}">`,
  `<base href=${elsewhere}><form action=${elsewhere}><button>x</button></form>`,
  '<img name=body><form id=documentElement><input name=attributes></form>',
  '&lt;script&gt;pwned()&lt;/script&gt; {{pwned()}}',
]
const sample = [payloads[1], payloads[2], payloads[16], payloads[22]]
const tagOf = (payload: string) => payload.replaceAll(',', '').slice(0, 40).trim()
const year = new Date().getUTCFullYear()

// Some hundred pages: on a machine that does much else they take a while.
describe.skipIf(!has('chromium'))('words that mean harm', { timeout: 180_000 }, () => {
  let council: TestCouncil
  let door: Door
  let browser: TestBrowser
  let visitor: Visitor
  const blogs: TestBlog[] = []
  let eva: Holder

  beforeAll(async () => {
    ;[council, browser] = await Promise.all([
      startCouncil({ spokes: 2, ownAddresses: true }),
      openBrowser(),
    ])
    door = await openDoor(council)
    // Two blogs, since nobody writes that many posts in one.
    const half = payloads.length / 2
    for (const [name, own] of [
      ['eva', payloads.slice(0, half)],
      ['mallory', payloads.slice(half)],
    ] as const) {
      const [first = ''] = own
      const signer = await makeSigner(`${first} <${name}@example.org>`)
      if (name === 'eva') eva = signer
      const blog = await council.claim(name, signer)
      blogs.push(blog)
      await publishText(
        council,
        blog,
        draftText(council, blog, { kind: 'profile', title: first, body: own.join('\n\n') }),
      )
      for (const [index, payload] of own.entries()) {
        const words = {
          slug: `post-${index}`,
          title: payload,
          tags: [tagOf(payload)],
          body: own.join('\n\n'),
        }
        const text = draftText(council, blog, { kind: 'post', ...words })
        const attach = `attach ${'ab'.repeat(32)} image/png 7 x.png ${payload}`
        await publishText(council, blog, text.replace('\ntitle ', `\n${attach}\ntitle `))
      }
      const words = { slug: 'post-0', title: `${first} again`, body: own.toReversed().join('\n\n') }
      await publishText(council, blog, draftText(council, blog, { kind: 'post', ...words }))
    }
    for (const blog of blogs) for (const spoke of council.spokes) await blog.whenWhole(spoke)
    visitor = await browser.visitor()
    await visitor.context.exposeBinding('pwned', ({ frame }) => {
      visitor.incidents.push(`pwned: ${frame.url()}`)
    })
  })
  afterAll(async () => {
    await visitor?.[Symbol.asyncDispose]()
    await browser?.[Symbol.asyncDispose]()
    await door?.[Symbol.asyncDispose]()
    await council?.[Symbol.asyncDispose]()
  })

  /** Nothing ran, nothing was asked for, and the page has no element or attribute of theirs. */
  async function expectHarmless(url: string) {
    expect(await visitor.page.evaluate<string[]>(foreignParts), url).toEqual([])
    expect(visitor.page.url(), 'the browser was not led elsewhere').toBe(new URL(url).href)
    expect([...visitor.incidents.splice(0), ...visitor.loaded.splice(0)], url).toEqual([])
  }

  it('stay words on every page that shows them', async () => {
    const shown = blogs.flatMap((blog) => {
      const posts = blog.entries.length - 3
      const each = Array.from({ length: posts }, (_, index) => [
        `/${year}/post-${index}`,
        `/history/post-${index}`,
        `/log/${index + 2}.txt`,
      ])
      const last = blog.entries.length - 1
      const all = ['/', '/archive', `/history/post-0?from=2&to=${last}`, '/log.json', '/key.asc']
      const own = blog === blogs[0] ? payloads.slice(0, posts) : payloads.slice(-posts)
      const tags = own.slice(1).map((payload) => `/tag/${encodeURIComponent(tagOf(payload))}`)
      return [...all, ...each.flat(), ...tags].map((path) => door.url(blog.name, path))
    })
    const lists = ['/', '/acts', '/blogs', '/search?q=pwned&order=best', '/search?q=script']
    const all = lists.map((path) => door.url('', path))
    for (const url of [...all, ...shown]) {
      const { status } = await visitor.open(url)
      expect(status, url).toBe(200)
      await expectHarmless(url)
    }
  })

  it('run nothing when they are clicked', async () => {
    for (const { name } of blogs) {
      await visitor.open(door.url(name, `/${year}/post-1`))
      const links = visitor.page.locator('article a')
      for (const link of await links.all()) {
        expect(await link.getAttribute('href')).toMatch(/^(https?|mailto):/)
      }
    }
  })

  it.each([
    ['eva', '/?before='],
    ['eva', '/archive?before='],
    ['eva', '/history/post-0?before='],
    ['eva', '/history/post-0?from=1&to='],
    ['eva', '/history/post-0?to=2&from='],
    ['eva', '/history/'],
    ['eva', '/tag/'],
    ['eva', `/${year}/`],
    ['eva', '/log.json?from='],
    ['eva', '/log/1.txt?id='],
    ['eva', '/'],
    ['', '/acts?before='],
    ['', '/acts/authority.pem?peer='],
    ['', '/acts/roster/'],
    ['', '/claim/'],
    ['', '/help/'],
    ['', '/?'],
    ['', '/blogs?after='],
    // Each of these is a search, of which a spoke answers sixty a minute.
    ['a.spoke', '/search?q='],
    ['b.spoke', '/?lang='],
    ['', '/_council/hello?n='],
    ['edit.eva', '/revoke?'],
    ['edit.eva', '/sign?t='],
    ['edit.eva', '/published?seq=0&id='],
    ['edit.eva', '/enter?t='],
    ['a.spoke', '/login?next='],
    ['a.spoke', '/login/answer?id='],
    ['a.spoke', '/sign/wait?t='],
    ['a.spoke', '/enter?blog='],
    ['a.spoke', '/receipts/'],
  ])('stay words in an address: %s %s', async (label, path) => {
    for (const payload of payloads) {
      const url = door.url(label, path + encodeURIComponent(payload))
      const answer = await rawGet(url.replace(/[^/]+(?=:\d)/, '127.0.0.1'), new URL(url).host)
      expect(answer.status).toBeLessThan(500)
      // A search shows what was typed; nothing of this stands for anything in HTML.
      if (!path.includes('q=') || /[<>"'&]/.test(payload)) {
        expect(answer.body).not.toContain(payload)
      }
      // What is not shown at all is looked at in the browser by a sample.
      if (!sample.includes(payload)) continue
      await visitor.open(url)
      await expectHarmless(url)
    }
  })

  it('stay words in user ids of a key that somebody signs up with', async () => {
    const url = door.url('a.spoke', '/start')
    // Twenty a minute are let through.
    for (const payload of payloads.slice(0, 14)) {
      const { publicKey } = await makeSigner(payload)
      await visitor.open(url)
      await visitor.page.getByLabel('Your public key').fill(publicKey)
      await visitor.page.getByLabel('Your gpg id').fill(`nobody ${payload}`)
      const { status } = await press(visitor, 'Go on')
      expect(status, payload).toBe(400)
      expect(await visitor.page.textContent('[role=alert]')).toContain('its user ids are')
      await expectHarmless(url)
    }
  })

  it('stay words on the pages of who writes them', async () => {
    await using author = await browser.visitor()
    await author.context.exposeBinding('pwned', ({ frame }) => {
      author.incidents.push(`pwned: ${frame.url()}`)
    })
    const { page } = author
    const fill = async (fields: Readonly<Record<string, string>>) => {
      for (const [label, text] of Object.entries(fields)) {
        await page.getByLabel(label).first().fill(text)
      }
    }
    const look = async () => {
      expect(await page.evaluate<string[]>(foreignParts), page.url()).toEqual([])
      expect([...author.incidents.splice(0), ...author.loaded.splice(0)], page.url()).toEqual([])
    }
    await logIn(author, door.url('a.spoke', '/login'), 'eva', eva)
    await look()
    await author.open(door.url('a.spoke', '/enter?blog=eva'))
    await look()
    const body = payloads.join('\n\n')
    // The body has all of them each time; a third of them as titles keeps this short.
    for (const [index, payload] of payloads.filter((_, at) => at % 3 === 0).entries()) {
      // What is refused is shown again as typed, what is good in the preview and to be signed.
      const isGood = index % 2 === 0
      const tags = isGood ? tagOf(payload) : payload
      await author.open(door.url('edit.eva', '/write'))
      await fill({ Title: payload, Text: body, Tags: tags, Language: isGood ? '' : payload })
      await press(author, 'Preview')
      await look()
      if (!isGood) continue
      await press(author, 'Sign and publish')
      await look()
      await fill({ 'The signature': payload })
      expect((await press(author, 'Publish')).status).toBe(400)
      await look()
    }
    for (const path of ['/write?slug=post-0', '/write?slug=post-0&from=2', '/about', '/']) {
      await author.open(door.url('edit.eva', path))
      await look()
    }
  })

  it('stay words in the Host header', async () => {
    const [spoke] = council.spokes
    for (const payload of payloads) {
      for (const host of [payload, `${payload}.${zone}`, `${zone}:${payload}`]) {
        const answer = await rawGet(spoke?.url ?? '', host)
        expect([400, 421]).toContain(answer.status)
        expect(answer.body).not.toContain(payload)
        // What is no Host header at all is answered without a page.
        if (answer.body === '') continue
        const url = door.url('', '/forged-host')
        await visitor.context.route(url, (route) => route.fulfill(answer))
        await visitor.open(url)
        await visitor.context.unroute(url)
        await expectHarmless(url)
      }
    }
  })

  it.each([
    ['a right-to-left override', 'abc\u202edef', 'TEXT_BIDI_IN_HEADER'],
    ['an isolate', '\u2067abc', 'TEXT_BIDI_IN_HEADER'],
    ['a direction mark', 'abc\u200f', 'TEXT_BIDI_IN_HEADER'],
    ['a zero width no-break space', 'a\ufeffb', 'TEXT_ZERO_WIDTH_NO_BREAK'],
    ['a line separator', 'a\u2028b', 'TEXT_LINE_SEPARATOR'],
    ['a control character', 'a\u0007b', 'TEXT_CONTROL_CHARACTER'],
    ['a tab', 'a\tb', 'TEXT_TAB_IN_HEADER'],
    ['300 characters', 'x'.repeat(300), 'HEADER_VALUE'],
    ['letters not in the form NFC', 'e\u0301', 'TEXT_NOT_NFC'],
  ])('are refused with a sentence in a title: %s', async (_, title, code) => {
    const [blog] = blogs as [TestBlog]
    const text = draftText(council, blog, {
      kind: 'post',
      slug: 'title',
      title: 'TITLE',
      body: 'x',
    })
    const forged = Buffer.from(text.replace('title TITLE', `title ${title}`))
    const signature = await blog.signer.sign(forged)
    const answer = await council.spokes[0]?.post(submissionOf(forged, signature))
    const { error } = json<{ error: { code: string; reason: string } }>(answer as never)
    expect([answer?.status, error.code]).toEqual([400, code])
    expect(error.reason).toMatch(/^[A-Z"].*\.$/)
    expect(error.reason).not.toContain(title)
  })

  describe('that are let through', () => {
    const titles = {
      hebrew: 'שלום 5 (7)',
      arabic: 'سلام ٥ 123',
      invisible: 'a\u200bb\u200d\u2060\u00adc',
      nothing: '\u200b\u2060',
      marks: `o${'\u0335\u0489'.repeat(90)}`,
      wide: '\u{12031}\ufdfd'.repeat(20),
      long: 'w'.repeat(200),
    }
    let blog: TestBlog
    beforeAll(async () => {
      blog = await council.claim('tricky', await makeSigner())
      await publishText(
        council,
        blog,
        draftText(council, blog, { kind: 'profile', title: titles.hebrew, body: '\u202eevil' }),
      )
      for (const [slug, title] of Object.entries(titles)) {
        for (const body of ['\u202eone\n\ntwo', 'one\n\n\u202etwo']) {
          await publishText(
            council,
            blog,
            draftText(council, blog, {
              kind: 'post',
              slug,
              title,
              tags: [title.slice(0, 20)],
              body,
            }),
          )
        }
      }
      for (const spoke of council.spokes) await blog.whenWhole(spoke)
    })

    it('turn nothing around that stands beside them', async () => {
      const slugs = Object.keys(titles)
      const paths = [
        '/',
        '/archive',
        ...slugs.flatMap((slug) => [
          `/${year}/${slug}`,
          `/history/${slug}`,
          `/history/${slug}?from=2&to=3`,
        ]),
      ]
      const urls = [
        ...['/', '/blogs', '/search?q=blog:tricky', '/search?q=one'].map((path) =>
          door.url('', path),
        ),
        ...paths
          .filter((path) => !path.endsWith('?from=2&to=3') || path.includes('hebrew'))
          .map((path) => door.url('tricky', path)),
      ]
      for (const url of urls) {
        const { status } = await visitor.open(url)
        expect(status, url).toBe(200)
        expect(await visitor.page.evaluate<string[]>(turnedAround), url).toEqual([])
      }
    })

    it('fit on a phone', async () => {
      for (const path of [
        '/',
        `/${year}/long`,
        `/${year}/wide`,
        `/${year}/marks`,
        '/history/long',
      ]) {
        await visitor.open(door.url('tricky', path))
        expect(await visitor.problems(), path).toEqual([])
      }
      for (const path of ['/', '/blogs', '/search?q=blog:tricky']) {
        await visitor.open(door.url('', path))
        expect(await visitor.problems(), path).toEqual([])
      }
    })
  })
})

/** What no page of ours has, so that it would be somebody else's. */
const foreignParts = `(() => {
  const ownFields = 'token next who certificate id answer key gpgId base title body lang tags slug text signed about q order'.split(' ')
  const wrong = [...document.querySelectorAll('script, iframe, object, embed, base, svg, math, img, input, textarea, [http-equiv], [id], [style]')]
    // Chromium shows plain texts and XML in pages of its own.
    .filter((element) => document.contentType === 'text/html' && !element.matches('h2[id]'))
    // The fields of our own forms, by the only names that they have.
    .filter((element) => {
      const isOurs = element.matches('input, select, textarea, small') && element.closest('article') === null
      return !isOurs || !ownFields.includes(element.id.replace('-hint', '') || element.name)
    })
  const handlers = [...document.querySelectorAll('*')].filter((element) =>
    [...element.attributes].some(({ name }) => name.startsWith('on')),
  )
  const links = [...document.querySelectorAll('a, form')].filter(
    (element) => !/^(https?|mailto):$/.test(new URL(element.href ?? element.action, location).protocol),
  )
  return [...wrong, ...handlers, ...links].map((element) => element.outerHTML.slice(0, 200))
})()`

/**
 * Our own words in English that do not stand from left to right, letter by letter: a stranger's
 * words have turned them around.
 */
const turnedAround = `(() => {
  const own = document.querySelectorAll('small, footer p, time, header > p, main > ul > li, h1[lang=en]')
  const wrong = []
  for (const element of own) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
    let last = null
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const around = node.parentElement.closest('[dir], bdi, .compared')
      const isTheirs = around.matches('[dir=rtl], [dir=auto], bdi, .compared')
      for (let index = 0; index < node.length; index++) {
        const range = document.createRange()
        range.setStart(node, index)
        range.setEnd(node, index + 1)
        const box = range.getBoundingClientRect()
        if (box.width === 0) continue
        const before = last
        last = { x: box.left, y: box.bottom, isTheirs }
        if (before === null || isTheirs || Math.abs(before.y - box.bottom) > 8) continue
        if (box.left < before.x - 1 && !before.isTheirs) wrong.push(element.textContent.slice(0, 100))
        if (before.isTheirs && box.left < before.x - 1) wrong.push('behind theirs: ' + element.textContent.slice(0, 100))
      }
    }
  }
  return wrong
})()`

/** An answer to a Host header that no browser would send. */
function rawGet(url: string, host: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number
    headers: Record<string, string>
    body: string
  }>()
  request(url, { headers: { host, accept: 'text/html' }, agent: false }, async (answer) => {
    const headers = Object.fromEntries(
      Object.entries(answer.headers).map(([name, value]) => [name, String(value)]),
    )
    resolve({ status: answer.statusCode ?? 0, headers, body: await readAll(answer) })
  })
    .on('error', reject)
    .end()
  return promise
}
