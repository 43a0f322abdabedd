import { describe, expect, it } from 'vitest'
import { excerptOf, RenderCache, renderMarkdown } from '../../src/web/markdown.ts'

const render = (source: string) => renderMarkdown(source).toString()

/** Every tag of the output, with its attributes, as an HTML parser would see it. */
const tags = (output: string) => output.match(/<[^>]*>/g) ?? []

describe('renderMarkdown', () => {
  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg onload=alert(1)>',
    '<svg><style><img src=x onerror=alert(1)></style></svg>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<iframe src="javascript:alert(1)"></iframe>',
    '<form action="//evil.example"><input name=x></form>',
    '<a id=location name=location href=x>x</a>',
    '<base href="//evil.example/">',
    '<meta http-equiv=refresh content="0;url=//evil.example">',
    '<style>@import "//evil.example"</style>',
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt:alert(1))',
    '[x](java&#x09;script:alert(1))',
    '[x](&#106;avascript:alert(1))',
    '[x](vbscript:msgbox(1))',
    '[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)',
    '[x](file:///etc/passwd)',
    '[x](tel:123)',
    '[x](//evil.example/x)',
    '[x](\\\\evil.example)',
    '[x](http://a "onmouseover=alert(1)")',
    '[x](http://a/"onmouseover="alert(1))',
    '[x]: javascript:alert(1)\n\n[x]',
    '<javascript:alert(1)>',
    '<http://a/"onmouseover="alert(1)>',
    'http://a/"onmouseover="alert(1)',
    '![x](http://evil.example/track.png)',
    '![x](data:image/svg+xml;base64,PHN2Zy8+)',
    '![x" onerror="alert(1)](x)',
    '```x" onmouseover="alert(1)\ncode\n```',
    '`<script>alert(1)</script>`',
    '| a |\n|:-:|\n| <script>alert(1)</script> |',
    '\u0000<script>alert(1)</script>',
  ])('leaves nothing that runs, loads or names in %j', (source) => {
    for (const tag of tags(render(source))) {
      expect(tag).toMatch(
        /^<(\/?(p|br|hr|pre|code|em|strong|table|thead|tbody|tr|th|td|div)|div tabindex="0"|\/?a|a( href="(?!\/\/|\\|(javascript|vbscript|data|file|tel):)[^"]*")?( rel="nofollow noopener")?)>$/i,
      )
    }
  })

  it.each([
    ['# A\n\n### B\n\n### C\n\n# D', ['h2', 'h3', 'h3', 'h2']],
    ['#### A\n\n## B\n\n###### C', ['h2', 'h2', 'h3']],
    ['# 1\n\n## 2\n\n### 3\n\n#### 4\n\n##### 5\n\n###### 6', ['h2', 'h3', 'h4', 'h5', 'h6', 'h6']],
  ])('puts the headings of %j below the title and skips no level', (source, expected) => {
    expect(render(source).match(/(?<=<)h[1-6]/g)).toEqual(expected)
  })

  it('keeps plain formatting', () => {
    expect(render('**a** _b_ ~~c~~ `d`\\\ne')).toBe(
      '<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code><br>\ne</p>',
    )
    expect(render('| a |\n|--:|\n| b |')).toContain('<th>a</th>')
    expect(render('7. a')).toContain('<ol start="7">')
  })

  it('makes links of plain addresses, with nofollow', () => {
    expect(render('See https://example.org/x')).toBe(
      '<p>See <a href="https://example.org/x" rel="nofollow noopener">https://example.org/x</a></p>',
    )
    expect(render('[y](/2026/x)')).toContain('href="/2026/x"')
    expect(render('<maria@example.org>')).toContain('href="mailto:maria@example.org"')
  })

  it('shows the words of a picture in its place', () => {
    expect(render('A ![a & b](x.png) c')).toBe('<p>A a &amp; b c</p>')
  })

  it('drops links and headings without words', () => {
    expect(render('[](http://a) b\n\n#\n\nc')).toBe('<p> b</p>\n\n<p>c</p>')
  })

  it.each([
    ['brackets', '['],
    ['open links', '[a]('],
    ['stars', '*a '],
    ['quotes', '> '],
    ['backticks', '`a'],
    ['less-than', '<'],
    ['colons', 'http:'],
    ['table cells', '|-'],
  ])(
    'renders 64 KiB of %s in a few seconds',
    (_, unit) => {
      const source = unit.repeat(65_000 / unit.length)
      expect(render(source).length).toBeGreaterThan(0)
    },
    5_000,
  )
})

describe('RenderCache', () => {
  it('gives what renderMarkdown gives, the second time without rendering', () => {
    const cache = new RenderCache()
    const first = cache.render('**a**')
    expect(first.toString()).toBe('<p><strong>a</strong></p>')
    expect(cache.render('**a**')).toBe(first)
  })

  it('lets the least recently read go when it is full', () => {
    const cache = new RenderCache(100)
    const first = cache.render('first')
    const second = cache.render('second')
    expect(cache.render('first')).toBe(first)
    cache.render('b'.repeat(30))
    expect(cache.render('first')).toBe(first)
    expect(cache.render('second')).not.toBe(second)
  })

  it('does not keep what is larger than itself', () => {
    const cache = new RenderCache(10)
    expect(cache.render('first')).not.toBe(cache.render('first'))
  })
})

describe('excerptOf', () => {
  it.each([
    ['Plain.', 'Plain.'],
    ['', ''],
    ['# A title\n\nSome **strong** and *soft* words', 'A title Some strong and soft words'],
    ['a\nb\\\nc  \nd', 'a b c d'],
    ['[link](https://example.org/) and `code`, ~~gone~~', 'link and code, gone'],
    ['```js\nconst x = 1\n```\n\nAfter.', 'After.'],
    ['![a picture](x.png) beside', 'beside'],
    ['- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |', 'one two a b 1 2'],
    ['<script>x</script> &amp; <b>', '<script>x</script> & <b>'],
    ['人人生而自由，在尊严', '人人生而自由，在尊严'],
  ])('gives %j as plain words', (source, words) => {
    expect(excerptOf(source, 120)).toBe(words)
  })

  it('is bounded, whatever the text is, and cuts no character in half', () => {
    for (const piece of ['a', '😀', '人', '[', '*a ', '`', '> ', '\\', 'é']) {
      for (const source of [piece.repeat(60_000), `x${piece.repeat(1_999)}`]) {
        const excerpt = excerptOf(source, 120)
        expect(excerpt.length).toBeLessThanOrEqual(120)
        expect(excerpt.isWellFormed()).toBe(true)
      }
    }
  })
})
