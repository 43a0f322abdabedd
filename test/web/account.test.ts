import { generateKey } from 'openpgp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { decodeEntry, type Entry } from '../../src/replication/log/entry.ts'
import type { OpenBlog, SubmitAnswer, WebSpoke } from '../../src/web/spoke.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'
import { host } from './browser.ts'
import { council, logOf, openLog, type Said } from './memory-spoke.ts'
import { decodeHtml, spokeWithDoor, Visitor } from './visitor.ts'

const spokeHost = host('b.spoke')
const edit = host('edit.maria')
const cruel = `"><script>alert(1)</script>`

describe.skipIf(!has('gpg'))('pages for authors', () => {
  const gpg = new GpgHome()
  let key: string
  let publicKey: string
  beforeAll(() => {
    key = gpg.makeKey('Maria <maria@example.org>', 'ed25519')
    gpg.addSubkey(key, 'cv25519', 'encr')
    publicKey = gpg.exportKey(key)
  })
  afterAll(() => gpg[Symbol.dispose]())

  const blogOf = (...said: readonly Said[]) =>
    logOf('maria', ...said.map((words) => ({ key, ...words })))
  const maria = (...said: readonly Said[]) => {
    const log = blogOf(...said)
    // The genesis is signed by the same key as the posts.
    return openLog([{ ...log[0], key } as (typeof log)[0], ...log.slice(1)] as typeof log)
  }
  const revoked = {
    ...{ key: '' as Fingerprint, reason: 2, isHard: true, text: '', knownMs: 0, seq: 7 },
    dateMs: Date.UTC(2026, 4, 3),
  } as const
  const first: Said = {
    kind: 'post',
    slug: 'one',
    title: 'One',
    tags: ['a'],
    body: 'The **first** text.',
  }
  const second: Said = { kind: 'post', slug: 'one', title: 'One', body: 'The *newer* text.' }

  const logIn = async (visitor: Visitor, next = '/my') => {
    await visitor.open(`${spokeHost}/login?next=${encodeURIComponent(next)}`)
    const page = await visitor.send('/login', { who: publicKey })
    const message = decodeHtml(
      /<code>(-----BEGIN PGP MESSAGE[\s\S]*?)<\/code>/.exec(page.html)?.[1] ?? '',
    )
    const code = /^code: (.*)$/m.exec(gpg.run(['-qd'], { input: message }).stdout)?.[1] ?? ''
    return visitor.send('/login/answer', { answer: code })
  }
  /** Somebody at the edit host of maria, logged in. */
  const author = async (
    open = maria(first),
    answer: SubmitAnswer | ((entry: Entry) => SubmitAnswer) = {
      kind: 'refused',
      code: 'X',
      reason: 'No.',
    },
    more: Partial<WebSpoke> = {},
  ) => {
    const taken: Entry[] = []
    const spoke = await spokeWithDoor(
      { maria: open },
      {
        submit: async (text) => {
          const entry = decodeEntry(text)
          if (!entry.ok) throw new Error(entry.reason)
          taken.push(entry.value)
          return typeof answer === 'function' ? answer(entry.value) : answer
        },
        ...more,
      },
    )
    const visitor = new Visitor(spoke)
    await logIn(visitor)
    await visitor.open(`${spokeHost}/enter?blog=maria`)
    return { visitor, taken, spoke }
  }
  const toSign = (html: string) =>
    decodeHtml(/<code>(council-entry 1[\s\S]*?)<\/code>/.exec(html)?.[1] ?? '')

  describe('cookies', () => {
    it('are host-only, unreadable for scripts and Secure; none is set at the zone or on a blog', async () => {
      const visitor = new Visitor(await spokeWithDoor({ maria: maria(first) }))
      await visitor.open(host(''))
      await visitor.open(host('maria'))
      expect([...visitor.cookies.values()].every((jar) => jar.size === 0)).toBe(true)
      const page = await visitor.open(`${spokeHost}/login`)
      const cookie = page.headers.get('set-cookie') ?? ''
      expect(cookie).toMatch(
        /^__Host-council-browser=[0-9a-f]{32}; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      )
    })

    it('at the zone: the pages for authors are on the spoke that answered', async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      expect((await visitor.open(`${host('')}/login`)).url).toBe(`${spokeHost}/login`)
    })

    it('are plain under a real name without TLS, and the page says what that means', async () => {
      const spoke = await spokeWithDoor({}, { zone: 'blogs.example.org' })
      const visitor = new Visitor(spoke)
      const page = await visitor.open('http://b.spoke.blogs.example.org:8380/login')
      expect(page.headers.get('set-cookie')).toMatch(
        /^council-browser=[0-9a-f]{32}; Path=\/; HttpOnly; SameSite=Lax$/,
      )
      expect(page.words).toContain('This address has no TLS')
    })

    it('change at the login, so that a planted one is worth nothing after it', async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      await visitor.open(`${spokeHost}/login`)
      const jar = () => visitor.cookies.get(new URL(spokeHost).host) as Map<string, string>
      const before = jar().get('__Host-council-browser')
      await logIn(visitor)
      expect(jar().get('__Host-council-browser')).not.toBe(before)
      expect(jar().has('__Host-council')).toBe(true)
    })

    it('that a sibling blog plants for the whole zone are not looked at', async () => {
      const { visitor } = await author()
      const session = visitor.cookies.get(new URL(edit).host)?.get('__Host-council') ?? ''
      const planted = new Visitor(await spokeWithDoor({ maria: maria(first) }))
      const page = await planted.open(`${spokeHost}/my`, {
        headers: { cookie: `council=${session}` },
      })
      expect(page.url).toContain('/login')
    })
  })

  describe('forms', () => {
    it.each([
      ['another site', 'https://evil.example'],
      ['a blog of the same zone', host('eve')],
      ['the zone itself', host('')],
      ['the same host at another port', 'http://b.spoke.blogs.localhost:1'],
      ['nowhere', 'null'],
    ])('are refused from %s', async (_, origin) => {
      const visitor = new Visitor(await spokeWithDoor({}))
      await visitor.open(`${spokeHost}/login`)
      const page = await visitor.send('/login', { who: publicKey }, { origin })
      expect([page.status, page.words]).toEqual([
        403,
        expect.stringContaining('page of another address'),
      ])
    })

    it('that carry another browser’s token do nothing and are shown again as typed', async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      await visitor.open(`${spokeHost}/login`)
      const page = await visitor.send('/login', { who: publicKey, token: 'x'.repeat(43) })
      expect(page.status).toBe(403)
      expect(visitor.form('/login').fields.who).toBe(publicKey.trim())
    })

    it('of ten megabytes are cut', async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      await visitor.open(`${spokeHost}/start`)
      const page = await visitor.send('/start', { key: 'A'.repeat(10_000_000) })
      expect([page.status, page.words]).toEqual([413, expect.stringContaining('export-minimal')])
    })

    it('are read up to their 32nd field: a quarter million of them would take long', async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      await visitor.open(`${spokeHost}/login`)
      const { token = '' } = visitor.form('/login').fields
      const statusWith = async (before: number) => {
        const fields = Array.from({ length: before }, (_, at): [string, string] => [`a${at}`, ''])
        const sent = Object.fromEntries([...fields, ['token', token], ['who', publicKey]])
        return (await visitor.post(`${spokeHost}/login`, sent)).status
      }
      expect([await statusWith(30), await statusWith(32)]).toEqual([200, 403])
    })

    it.each([
      '//evil.example',
      'https://evil.example',
      '/\\evil.example',
      'javascript:alert(1)',
      '/ok\r\nSet-Cookie: a=b',
    ])('lead nowhere else after a login: %s', async (next) => {
      const visitor = new Visitor(await spokeWithDoor({}))
      expect((await logIn(visitor, next)).url).toBe(`${spokeHost}/my`)
    })
  })

  describe('an account', () => {
    const start = async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      await visitor.open(`${spokeHost}/start`)
      return visitor
    }

    it.each([
      ['Maria', true],
      ['maria@example.org', true],
      ['<MARIA@example.org>', true],
      ['fingerprint', true],
      ['eva@example.org', false],
      ['0123456789ABCDEF', false],
      [cruel, false],
    ])('takes a key with the gpg id %s: %s', async (id, good) => {
      const visitor = await start()
      const gpgId = id === 'fingerprint' ? key.replace(/(.{4})/g, '$1 ') : id
      const page = await visitor.send('/start', { key: publicKey, gpgId })
      expect(page.url.includes('/login/answer')).toBe(good)
      if (!good) expect(page.words).toContain('is not the one of')
    })

    it.each([
      ['rsa1024', 'RSA of 1024 bits', () => gpg.makeKey('Old <o@example.org>', 'rsa1024')],
      ['dsa2048', 'DSA', () => gpg.makeKey('Dsa <d@example.org>', 'dsa2048')],
      ['brainpool', 'brainpoolP256r1', () => gpg.makeKey('B <b@example.org>', 'brainpoolP256r1')],
      ['secp256k1', 'secp256k1', () => gpg.makeKey('S <s@example.org>', 'secp256k1')],
    ])('is refused with what is wrong and how to make a good key: %s', async (_, words, make) => {
      const visitor = await start()
      const page = await visitor.send('/start', {
        key: gpg.exportKey(make()),
        gpgId: '@example.org',
      })
      expect(page.status).toBe(400)
      expect(page.words).toContain(words)
      expect(page.words).toContain('gpg --quick-generate-key')
      expect(visitor.form('/start').fields.gpgId).toBe('@example.org')
    })

    it('is refused with a signature about itself by SHA-1, and the command that renews it', async () => {
      const old = gpg.run([
        ...['--cert-digest-algo', 'SHA1', '--status-fd', '1'],
        ...['--quick-generate-key', 'Sha <sha@example.org>', 'rsa2048', 'cert,sign', 'never'],
      ]).stdout
      const fingerprint = /KEY_CREATED \S+ ([0-9A-F]{40})/.exec(old)?.[1] ?? ''
      const visitor = await start()
      const page = await visitor.send('/start', { key: gpg.exportKey(fingerprint), gpgId: 'Sha' })
      expect(page.words).toContain('SHA-1')
      expect(page.words).toContain('gpg --quick-set-expire')
    })

    it('is refused with six megabytes of other people’s signatures, and how to export without them', async () => {
      const visitor = await start()
      const page = await visitor.send('/start', { key: 'A'.repeat(6_000_000), gpgId: 'Maria' })
      expect([page.status, page.words]).toEqual([413, expect.stringContaining('export-minimal')])
    })

    it('is refused with a key that fits in no entry, and how to export less of it', async () => {
      const { publicKey: large } = await generateKey({
        type: 'ecc',
        userIDs: Array.from({ length: 40 }, (_, at) => ({
          name: `Maria ${at} ${'x'.repeat(2_000)}`,
        })),
      })
      const visitor = await start()
      const page = await visitor.send('/start', { key: large, gpgId: 'Maria' })
      expect([page.status, page.words]).toEqual([413, expect.stringContaining('keep-uid')])
    })

    it.each([
      ['the council', { revocation: async () => revoked }],
      [
        'a key server',
        { askKeyServers: async () => ({ ...revoked, kind: 'revoked', atMs: 0, detail: '' }) },
      ],
    ] as const)(
      'is refused when %s says that the key is revoked, also at a login',
      async (_, more) => {
        const visitor = new Visitor(
          await spokeWithDoor({ maria: maria(first) }, more as Partial<WebSpoke>),
        )
        await visitor.open(`${spokeHost}/start`)
        const page = await visitor.send('/start', { key: publicKey, gpgId: 'Maria' })
        expect([page.status, page.words]).toEqual([
          403,
          expect.stringMatching(/was revoked on 3 May 2026 \(compromised\)/),
        ])
        await visitor.open(`${spokeHost}/login`)
        expect((await visitor.send('/login', { who: publicKey })).words).toContain('was revoked on')
      },
    )

    it('goes on when no key server can be asked, and says so under My blogs', async () => {
      const detail = 'keys.example.org did not answer in 5 s.'
      const more = {
        askKeyServers: async () => ({ kind: 'unreachable', atMs: 0, detail }) as const,
      }
      const visitor = new Visitor(await spokeWithDoor({}, more))
      expect((await logIn(visitor)).words).toContain(detail)
    })

    it('lets one client try ten logins a minute', async () => {
      const visitor = new Visitor(await spokeWithDoor({}))
      const statuses: number[] = []
      for (let tries = 0; tries < 11; tries++) {
        if (tries % 4 === 0) {
          await visitor.open(`${spokeHost}/login`)
          await visitor.send('/login', { who: publicKey })
        }
        statuses.push((await visitor.send('/login/answer', { answer: 'A'.repeat(28) })).status)
      }
      expect(statuses).toEqual([...Array(10).fill(403), 429])
      expect(visitor.page?.headers.get('retry-after')).toMatch(/^[1-9][0-9]?$/)
    })

    it('shows user ids as text, whatever they are', async () => {
      const visitor = await start()
      const evil = gpg.makeKey(`Eve ${cruel} <eve@example.org>`, 'ed25519')
      const page = await visitor.send('/start', { key: gpg.exportKey(evil), gpgId: 'nobody' })
      expect(page.words).toContain(`Eve ${cruel} <eve@example.org>`)
    })

    it('is refused with a secret key, which is not repeated on the page', async () => {
      const visitor = await start()
      const page = await visitor.send('/start', { key: gpg.exportSecretKey(key), gpgId: 'Maria' })
      expect(page.words).toContain('Never send it to anybody')
      expect(page.html).not.toContain('BEGIN PGP PRIVATE KEY BLOCK')
    })

    it('is the same sentence for a name that nobody has and a key that cannot be used', async () => {
      const visitor = new Visitor(await spokeWithDoor({ maria: 'unreachable' }))
      const answers: string[] = []
      for (const who of ['nobody', 'maria', '0'.repeat(40), cruel]) {
        await visitor.open(`${spokeHost}/login`)
        const page = await visitor.send('/login', { who })
        answers.push(`${page.status} ${/role="alert"><p>([^<]*)/.exec(page.html)?.[1]}`)
      }
      expect(new Set(answers).size).toBe(1)
    })

    it.each(['nobody', 'maria'])(
      'answers for %s not before a time that is always the same',
      async (who) => {
        const waits: number[] = []
        let end = () => {}
        const wait = (ms: number) => {
          waits.push(ms)
          return new Promise<void>((resolve) => {
            end = resolve
          })
        }
        const visitor = new Visitor(await spokeWithDoor({ maria: maria(first) }, { wait }))
        await visitor.open(`${spokeHost}/login`)
        let isAnswered = false
        const sent = visitor.send('/login', { who }).then(() => {
          isAnswered = true
        })
        await expect.poll(() => waits).toEqual([300])
        expect(isAnswered).toBe(false)
        end()
        await sent
      },
    )
  })

  describe('a name', () => {
    const atName = async () => {
      // Maria's is her own; Anna has another key.
      const blogs = { maria: maria(first), anna: openLog(logOf('anna', first)) }
      const visitor = new Visitor(await spokeWithDoor(blogs))
      await logIn(visitor, '/start/blog')
      return visitor
    }

    it('is asked for by a genesis that gpg signs', async () => {
      const visitor = await atName()
      const page = await visitor.send('/start/blog', { name: 'Zoe' })
      const text = toSign(page.html)
      expect(text).toContain('\nblog zoe\nseq 0\nkind genesis\n')
      expect(text).toContain(`council ${council}`)
      expect(text).toContain('-----BEGIN PGP PUBLIC KEY BLOCK-----')
    })

    it.each([
      ['anna', 409, 'anna is taken since'],
      ['maria', 409, 'maria is yours already'],
      ['ab', 400, 'cannot be a blog’s name'],
      ['Ünicode', 400, 'cannot be a blog’s name'],
      ['xn--a', 400, 'cannot be a blog’s name'],
      [cruel, 400, 'cannot be a blog’s name'],
    ])('is refused at once: %s', async (name, status, words) => {
      const visitor = await atName()
      const page = await visitor.send('/start/blog', { name })
      expect([page.status, page.words]).toEqual([status, expect.stringContaining(words)])
      expect(visitor.form('/start/blog').fields.name).toBe(name.toLowerCase())
    })
  })

  describe('the edit host', () => {
    it('has the form that the council chose, which the other one leads to', async () => {
      const visitor = new Visitor(
        await spokeWithDoor({ maria: maria(first) }, { editForm: () => 'dashed' }),
      )
      await logIn(visitor)
      await visitor.open(`${spokeHost}/enter?blog=maria`)
      expect(visitor.page?.url).toBe(`${host('edit--maria')}/`)
      expect((await visitor.open(`${edit}/write`)).url).toBe(`${host('edit--maria')}/write`)
    })

    it('sends who is not logged in to the spoke’s host, and takes him back to the page', async () => {
      const visitor = new Visitor(await spokeWithDoor({ maria: maria(first) }))
      const login = await visitor.open(`${edit}/write?slug=one`)
      expect(login.url).toContain(`${spokeHost}/login?next=`)
      const next = new URL(login.url).searchParams.get('next') ?? ''
      expect((await logIn(visitor, next)).url).toBe(`${edit}/write?slug=one`)
    })

    it('takes a pass once, and for its own host only', async () => {
      const { visitor } = await author()
      const spoke = await spokeWithDoor({ maria: maria(first), eva: openLog(logOf('eva')) })
      const pass = (at: string) =>
        spoke.signToken('enter', { key: key as never, host: at, id: null }) ?? ''
      const other = new Visitor(spoke)
      const good = pass('edit.maria.blogs.localhost')
      expect((await other.open(`${edit}/enter?t=${good}`)).status).toBe(200)
      expect((await other.open(`${edit}/enter?t=${good}`)).words).toContain('used already')
      const elsewhere = pass('edit.eva.blogs.localhost')
      expect((await other.open(`${edit}/enter?t=${elsewhere}`)).status).toBe(403)
      expect(visitor.page?.words).toContain('Write for maria')
    })

    it('keeps its author’s login when somebody leads her there with his own pass', async () => {
      const { visitor, spoke } = await author()
      const of = { key: 'E'.repeat(40) as Fingerprint, host: new URL(edit).hostname, id: null }
      const evil = spoke.signToken('enter', of)
      const page = await visitor.open(`${edit}/enter?t=${evil}&to=/write`)
      expect([page.status, page.url]).toEqual([200, `${edit}/write`])
    })

    it('says so when this server may let nobody in, instead of sending him round', async () => {
      const spoke = await spokeWithDoor({ maria: maria(first) })
      const of = { key: key as Fingerprint, host: new URL(edit).hostname, id: null }
      const pass = spoke.signToken('enter', of)
      const visitor = new Visitor({ ...spoke, signToken: () => null })
      expect((await visitor.open(`${edit}/enter?t=${pass}`)).status).toBe(503)
    })

    it('with a final dot is another host to browsers, and leads to the real one', async () => {
      const { visitor } = await author()
      const dotted = edit.replace('localhost', 'localhost.')
      expect((await visitor.open(`${dotted}/write?slug=one`)).url).toBe(`${edit}/write?slug=one`)
    })

    it('leads nobody to its other form before the council’s choice is known', async () => {
      const visitor = new Visitor(await spokeWithDoor({}, { council: () => null }))
      expect((await visitor.open(`${host('edit--maria')}/write`)).status).toBe(503)
    })

    it('lets nobody write any more with a key that was revoked since the login', async () => {
      const word = { of: null as Awaited<ReturnType<WebSpoke['revocation']>> }
      const { visitor } = await author(maria(first), undefined, { revocation: async () => word.of })
      await visitor.open(`${edit}/write`)
      word.of = { ...revoked, reason: 2, key: key as Fingerprint }
      const page = await visitor.send('/write', { title: 'T', body: 'Mine.', action: 'sign' })
      expect([page.status, page.words]).toEqual([
        403,
        expect.stringContaining('was revoked on 3 May 2026'),
      ])
      expect(visitor.form('/write').fields.body).toBe('Mine.')
      for (const path of ['/', '/write', '/about', '/remove?slug=one']) {
        const opened = await visitor.open(edit + path)
        expect([opened.status, opened.words]).toEqual([
          403,
          expect.stringContaining('was revoked on 3 May 2026'),
        ])
      }
    })

    it('makes nothing to be signed for who is not logged in, and keeps what was typed', async () => {
      const { visitor } = await author()
      for (const [path, sent] of [
        ['/about', { title: 'Plaza', about: 'Mine.' }],
        ['/remove?slug=one', { body: 'Mine.' }],
      ] as const) {
        await visitor.open(edit + path)
        const jar = visitor.cookies.get(new URL(edit).host)
        const session = jar?.get('__Host-council') ?? ''
        jar?.delete('__Host-council')
        const [action = ''] = path.split('?')
        const page = await visitor.send(action, sent)
        expect([page.status, toSign(page.html)]).toEqual([403, ''])
        expect(visitor.form(action).fields).toMatchObject(sent)
        jar?.set('__Host-council', session)
      }
    })

    describe('what she signed that no log has', () => {
      /** Her blog as it is, and beside it what stood behind the genesis of another server's log. */
      const withLeft = (said: readonly Said[], ...left: readonly Said[]) => {
        const entries = blogOf(...left).slice(1)
        const lost = [...entries, ...entries].map(({ text }) => ({
          ...{ text, signature: Buffer.alloc(0) },
        }))
        const open: OpenBlog = { ...maria(...said), leftOver: async () => lost }
        return { open, lost: entries as readonly Entry[] }
      }
      const other: Said = { kind: 'post', slug: 'other', title: 'Other', body: 'Meanwhile.' }
      const cruelPost: Said = {
        ...{ kind: 'post', slug: 'lost', title: cruel, lang: 'es', tags: ['b', 'c'] },
        body: '# Not its title\n\nWhat was lost. </textarea><script>alert(1)</script>',
      }

      it('is shown to her, and to nobody else', async () => {
        const { open, lost } = withLeft([other], cruelPost)
        const { visitor } = await author(open)
        expect((await visitor.open(`${edit}/`)).words).toContain('Not published: 1 entry.')
        const left = await visitor.open(`${edit}/left`)
        expect(left.words).toContain('What was lost.')
        expect(left.html).not.toContain('<script>alert')
        const own = (await author()).visitor
        expect((await own.open(`${edit}/`)).words).not.toContain('Not published')
        const stranger = new Visitor(await spokeWithDoor({ maria: open }))
        for (const path of ['/left', `/write?left=${lost[0]?.id}`]) {
          const page = await stranger.open(edit + path)
          expect(page.words).not.toContain('What was lost.')
        }
      })

      it('opens in the editor word for word, and is signed behind what is there now', async () => {
        const { open, lost } = withLeft([other], cruelPost)
        const { visitor } = await author(open)
        const left = await visitor.open(`${edit}/left`)
        const [, path = ''] =
          /href="(\/write\?left=[0-9a-f]{64})">Sign it again</.exec(left.html) ?? []
        const form = await visitor.open(edit + path)
        expect([form.status, form.html]).toEqual([
          200,
          expect.not.stringContaining('<script>alert'),
        ])
        expect(visitor.form('/write').fields).toMatchObject({
          ...{ title: cruel, body: cruelPost.body, lang: 'es', tags: 'b, c', slug: 'lost' },
          base: '',
        })
        const text = toSign((await visitor.send('/write', { action: 'sign' })).html)
        const { body, title } = cruelPost as { body: string; title: string }
        const before = Buffer.from(lost[0]?.text as Uint8Array).toString()
        expect(text.split('\n\n').slice(1).join('\n\n')).toBe(body)
        expect(text).toContain(`\nseq 2\nprev ${open.blog.head.id}\n`)
        expect(text).toContain(`\nslug lost\nlang es\ntags b, c\ntitle ${title}\n`)
        expect(text).not.toBe(before)
      })

      it('is the newest version of its post where the blog has one; what was changed since stands beside it', async () => {
        const { open } = withLeft([first], first, { ...second, title: 'Two' })
        const { visitor } = await author(open)
        const [, mine] = blogOf(first, { ...second, title: 'Two' }).slice(1)
        const page = await visitor.open(`${edit}/write?left=${mine?.id}`)
        expect(page.words).toContain('It becomes the newest version of “One”.')
        expect(visitor.form('/write').fields).toMatchObject({
          ...{ title: 'Two', slug: 'one', base: '1', body: 'The *newer* text.' },
        })
        expect(toSign((await visitor.send('/write', { action: 'sign' })).html)).toContain(
          '\nseq 2\n',
        )
        const since: Said = { ...second, title: 'Changed since' }
        const changed = await author(
          withLeft([first, since], first, {
            ...second,
            title: 'Two',
          }).open,
        )
        await changed.visitor.open(`${edit}/left`)
        const beside = await changed.visitor.open(`${edit}/write?left=${mine?.id}`)
        expect([beside.status, beside.words]).toEqual([
          200,
          expect.stringContaining('which was changed since'),
        ])
        expect(beside.words).toContain('Changed since')
        const head = await changed.visitor.open(`${edit}/write?left=${mine?.id}`, {
          method: 'HEAD',
        })
        expect(head.status).toBe(200)
        await changed.visitor.open(`${edit}/write?left=${mine?.id}`)
        expect(changed.visitor.form('/write').fields).toMatchObject({ title: 'Two', base: '2' })
      })

      it('does not open over a version that nobody who answers has', async () => {
        const { open, lost } = withLeft([first, { ...second, title: 'Since' }], first, second)
        const { visitor } = await author({ ...open, entry: async () => null })
        const page = await visitor.open(`${edit}/write?left=${lost[1]?.id}`)
        expect([page.status, page.words]).toEqual([
          503,
          expect.stringContaining('None of the servers that keep this post answers now.'),
        ])
      })

      it('says that another entry has its number only where one has', async () => {
        const words = 'Another entry has that number now.'
        for (const [said, has] of [
          [[other], true],
          [[], false],
        ] as const) {
          const { visitor } = await author(withLeft(said, cruelPost).open)
          const page = await visitor.open(`${edit}/left`)
          expect(page.words.includes(words), String(has)).toBe(has)
        }
      })

      it('says that aliases and attachments do not come along, and counts without them', async () => {
        const plain = Buffer.from(blogOf(first)[1]?.text as Uint8Array).toString()
        const text = Buffer.from(
          plain.replace(
            '\ntitle ',
            `\nalias /old\nattach ${'ab'.repeat(32)} image/png 9 a.png\ntitle `,
          ),
        )
        const entry = decodeEntry(text)
        expect(entry.ok).toBe(true)
        const withIt = (...said: Said[]): OpenBlog => ({
          ...maria(...said),
          leftOver: async () => [{ text, signature: Buffer.alloc(0) }],
        })
        const { visitor } = await author(withIt(other))
        const left = await visitor.open(`${edit}/left`)
        const [, path = ''] = /href="(\/write\?left=[0-9a-f]{64})"/.exec(left.html) ?? []
        const page = await visitor.open(edit + path)
        expect(page.words).toContain('Its aliases and attachments do not come along')
        const again = await author(withIt(other, first))
        expect((await again.visitor.open(`${edit}/`)).words).not.toContain('Not published')
      })

      it('says of a post that was removed since that it comes back', async () => {
        const gone: Said = { kind: 'retract', slug: 'one', body: '' }
        const { open, lost } = withLeft([first, gone], first, second)
        const { visitor } = await author(open)
        const page = await visitor.open(`${edit}/write?left=${lost[1]?.id}`)
        expect(page.words).toContain('You removed that post: publishing this brings it back.')
      })

      it('is gone once the log has the same words behind where they part, not before', async () => {
        const again = withLeft([other, first], first)
        const told = await author(again.open)
        expect((await told.visitor.open(`${edit}/`)).words).not.toContain('Not published')
        const page = await told.visitor.open(`${edit}/left`)
        expect(page.words).toContain('what was entry 1 is entry 2 of the blog')
        expect(page.html).not.toContain('/write?left=')
        // Other words, other tags, or a version that says the same and is older: not published.
        for (const [said, left] of [
          [[other, { ...first, body: 'The first text.' }], [first]],
          [[other, { ...first, tags: ['a', 'b'] }], [first]],
          [
            [first, second],
            [first, { ...second, body: 'Lost.' }, first],
          ],
        ] satisfies [Said[], Said[]][]) {
          const { visitor } = await author(withLeft(said, ...left).open)
          expect((await visitor.open(`${edit}/`)).words).toContain('Not published')
          const page = await visitor.open(`${edit}/left`)
          expect(page.html).toContain(`/write?left=${blogOf(...left).at(-1)?.id}`)
        }
      })

      it('of other kinds opens in their forms', async () => {
        const { open, lost } = withLeft(
          [first],
          first,
          { kind: 'profile', title: 'Plaza', lang: 'es', body: 'About it.' },
          { kind: 'retract', slug: 'one', body: 'Was wrong.' },
        )
        const { visitor } = await author(open)
        const [, profile, retract] = lost
        const left = await visitor.open(`${edit}/left`)
        expect(left.html).toContain(`href="/about?left=${profile?.id}"`)
        expect(left.html).toContain(`href="/remove?left=${retract?.id}"`)
        await visitor.open(`${edit}/about?left=${profile?.id}`)
        expect(visitor.form('/about').fields).toMatchObject({
          ...{ title: 'Plaza', lang: 'es', about: 'About it.' },
        })
        await visitor.open(`${edit}/remove?left=${retract?.id}`)
        expect(visitor.form('/remove').fields).toMatchObject({ slug: 'one', body: 'Was wrong.' })
      })

      it('is looked for by its number alone', async () => {
        const { open, lost } = withLeft([other], cruelPost)
        const { visitor } = await author(open)
        for (const path of ['/write', '/about', '/remove']) {
          for (const left of ['', 'x', '0'.repeat(64), path === '/write' ? 'ab' : lost[0]?.id]) {
            const page = await visitor.open(`${edit}${path}?left=${left}`)
            expect([page.status, page.words], path).toEqual([
              404,
              expect.stringContaining('Look again at what is not published'),
            ])
          }
        }
      })

      it('is compared with a bounded number of entries', async () => {
        const many = Array.from(
          { length: 80 },
          (_, at): Said => ({
            ...{ ...first, body: `Try ${at}.`, date: '2026-05-04T00:00:00Z' },
          }),
        )
        const { open } = withLeft(many, { ...first, body: 'Mine.' })
        let reads = 0
        const { visitor } = await author({
          ...open,
          entry: async (seq) => {
            reads++
            return open.entry(seq)
          },
        })
        reads = 0
        await visitor.open(`${edit}/left`)
        expect(reads).toBe(50)
      })
    })

    it('tells another author whose blog it is', async () => {
      const open = openLog(logOf('maria'))
      const visitor = new Visitor(await spokeWithDoor({ maria: open }))
      await logIn(visitor)
      const page = await visitor.open(`${spokeHost}/enter?blog=maria`)
      expect([page.status, page.words]).toEqual([
        403,
        expect.stringContaining('Another author’s blog'),
      ])
    })

    it('lets nobody in any more who has logged out, nor whoever copied the cookie', async () => {
      const { visitor } = await author()
      const jar = new Map(visitor.cookies.get(new URL(edit).host))
      await visitor.send('/logout')
      expect((await visitor.open(`${edit}/write`)).url).toContain('/login')
      visitor.cookies.set(new URL(edit).host, jar)
      expect((await visitor.open(`${edit}/write`)).url).toContain('/login')
    })
  })

  it('let nobody in after a log-out as long as any session of that login would last', async () => {
    const clock = { nowMs: Date.now() }
    const visitor = new Visitor(await spokeWithDoor({ maria: maria(first) }, {}, clock))
    const hours = (count: number) => {
      clock.nowMs += count * 3_600_000
    }
    await logIn(visitor)
    hours(10)
    await visitor.open(`${spokeHost}/enter?blog=maria`)
    const copied = new Map(visitor.cookies.get(new URL(edit).host))
    await visitor.open(`${spokeHost}/my`)
    await visitor.send('/logout')
    hours(3)
    // Somebody else's log-out is when ended ones are forgotten.
    await logIn(visitor)
    await visitor.send('/logout')
    visitor.cookies.set(new URL(edit).host, copied)
    expect((await visitor.open(`${edit}/write`)).url).toContain('/login')
  })

  describe('writing', () => {
    const text = {
      title: '¿Qué es?',
      body: 'Hello **world**  \nand\r\nmore  ',
      lang: 'es',
      tags: 'b, a',
    }

    it('previews by the published page’s own code', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write`)
      const page = await visitor.send('/write', { ...text, action: 'preview' })
      expect(page.html).toContain('<p>Hello <strong>world</strong><br>\nand\nmore</p>')
      expect(page.words).toContain('http://maria.blogs.localhost:8380/2026/que-es')
      expect(visitor.form('/write').fields).toMatchObject({
        ...text,
        body: text.body.replace('\r\n', '\n'),
      })
    })

    it('shows the exact text, takes it clear-signed or detached, and counts the copies', async () => {
      const { visitor, taken } = await author(maria(first), (entry) => ({
        ...{ kind: 'published', entry, copies: 2, wanted: 3, receipts: [], reason: null },
      }))
      for (const mode of ['clear', 'detached'] as const) {
        await visitor.open(`${edit}/write`)
        const page = await visitor.send('/write', { ...text, action: 'sign' })
        const shown = toSign(page.html)
        expect(shown).toMatch(
          /\nslug que-es\nlang es\ntags a, b\ntitle ¿Qué es\?\n\nHello \*\*world\*\*\\\nand\nmore$/,
        )
        const done = await visitor.send('/sign', { signed: gpg.sign(shown, key, mode) })
        expect(new URL(done.url).pathname).toBe('/published')
        expect(Buffer.from(taken.at(-1)?.text ?? []).toString()).toBe(shown)
      }
    })

    it.each([
      ['a text over 64 KiB', { body: 'word '.repeat(14_000) }, 'TEXT_TOO_LONG', 413],
      ['a title of 300 characters', { title: 'x'.repeat(300) }, 'HEADER_VALUE', 400],
      [
        'a title that turns the writing direction',
        { title: 'a\u202eb' },
        'TEXT_BIDI_IN_HEADER',
        400,
      ],
      ['a language that is none', { lang: 'klingon!' }, 'HEADER_VALUE', 400],
      ['an address with blanks', { slug: 'a b' }, 'HEADER_VALUE', 400],
      ['the address of another post', { slug: 'one' }, 'POST_SLUG_TAKEN', 400],
      ['no title at all', { title: '', body: 'x' }, 'FILE_NO_TITLE', 400],
      ['a control character', { body: 'a\u0001b' }, 'TEXT_CONTROL_CHARACTER', 400],
    ])('refuses %s, and loses nothing of what was typed', async (_, wrong, code, status) => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write`)
      const typed = { ...text, ...wrong }
      const page = await visitor.send('/write', { ...typed, action: 'sign' })
      expect(page.status).toBe(status)
      expect(page.html).toContain('role="alert"')
      expect(visitor.form('/write').fields.body).toBe(typed.body.replaceAll('\r\n', '\n'))
      expect(visitor.form('/write').fields.title).toBe(typed.title)
      expect(code).not.toBe('')
      // What stands there is for a person with a browser.
      expect(page.words).not.toMatch(/--title|the file/)
    })

    it.each([
      ['nothing', '', 'There is no signature'],
      ['words', 'hello', 'There is no signature'],
      ['a signature that is cut', '-----BEGIN PGP SIGNATURE-----\n\nAAAA', 'X'],
    ])('keeps text and paste when %s is pasted', async (_, signed, words) => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write`)
      const shown = toSign((await visitor.send('/write', { ...text, action: 'sign' })).html)
      const page = await visitor.send('/sign', { signed })
      expect(toSign(page.html)).toBe(shown)
      expect(visitor.form('/sign').fields.signed).toBe(signed)
      expect(page.words).toContain(words === 'X' ? 'No.' : words)
    })

    it('refuses a clear-signed text that is another than the one shown', async () => {
      const { visitor, taken } = await author()
      await visitor.open(`${edit}/write`)
      const shown = toSign((await visitor.send('/write', { ...text, action: 'sign' })).html)
      const other = gpg.sign(shown.replace('world', 'peace'), key, 'clear')
      const page = await visitor.send('/sign', { signed: other })
      expect(page.words).toContain('Another text was signed')
      expect(taken).toEqual([])
    })

    it('goes back from signing to writing with everything typed', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write`)
      await visitor.send('/write', { ...text, action: 'sign' })
      const { fields } = visitor.form('/sign')
      const page = await visitor.post(`${edit}/write`, { ...fields, action: 'edit' })
      expect(page.words).toContain('Write a post')
      expect(visitor.form('/write').fields).toMatchObject({
        title: text.title,
        lang: 'es',
        tags: 'a, b',
      })
    })

    it('keeps the text when the login is over, and says how to go on', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write`)
      visitor.cookies.get(new URL(edit).host)?.delete('__Host-council')
      const page = await visitor.send('/write', { ...text, action: 'sign' })
      expect([page.status, page.words]).toEqual([
        403,
        expect.stringContaining('Your text is still in the form'),
      ])
      expect(visitor.form('/write').fields.title).toBe(text.title)
    })

    it('does not show a secret key again that was pasted for a signature', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write`)
      await visitor.send('/write', { ...text, action: 'sign' })
      const page = await visitor.send('/sign', { signed: gpg.exportSecretKey(key) })
      expect(page.status).toBe(400)
      expect(page.html).not.toContain('BEGIN PGP PRIVATE KEY BLOCK')
    })

    it('keeps text and signature when the primary does not answer', async () => {
      const reason = 'The spoke that takes writes for maria does not answer.'
      const { visitor } = await author(maria(first), {
        kind: 'refused',
        code: 'PRIMARY_UNREACHABLE',
        reason,
      })
      await visitor.open(`${edit}/write`)
      const shown = toSign((await visitor.send('/write', { ...text, action: 'sign' })).html)
      const signed = gpg.sign(shown, key, 'detached').trim()
      const page = await visitor.send('/sign', { signed })
      expect([page.status, page.words]).toEqual([503, expect.stringContaining(reason)])
      expect(visitor.form('/sign').fields).toMatchObject({ text: shown, signed })
    })
  })

  describe('changing a post', () => {
    it('says what changed, and signs a new version under the same address', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/write?slug=one`)
      expect(visitor.form('/write').fields).toMatchObject({
        title: 'One',
        body: 'The **first** text.',
        base: '1',
      })
      const page = await visitor.send('/write', { body: 'The **second** text.', action: 'preview' })
      expect(page.html).toContain('<del>first</del><ins>second</ins>')
      const signing = await visitor.send('/write', { action: 'sign' })
      expect(toSign(signing.html)).toContain('\nslug one\n')
    })

    it('gives a tab that is behind its text back, with the newer version beside it', async () => {
      const { visitor } = await author(maria(first, second))
      await visitor.open(`${edit}/write?slug=one`)
      const page = await visitor.send('/write', {
        base: '1',
        body: 'From the old tab.',
        action: 'sign',
      })
      expect([page.status, page.words]).toEqual([
        409,
        expect.stringContaining('There is a newer version'),
      ])
      expect(page.words).toContain('*newer* text.')
      expect(visitor.form('/write').fields).toMatchObject({ body: 'From the old tab.', base: '2' })
      expect(toSign((await visitor.send('/write', { action: 'sign' })).html)).toContain('seq 3')
    })

    it('signs nothing over a newer version that nobody who answers has, and keeps the text', async () => {
      const open = maria(first, second)
      let isRead = true
      const { visitor } = await author({
        ...open,
        entry: async (seq) => (isRead ? open.entry(seq) : null),
      })
      await visitor.open(`${edit}/write?slug=one`)
      isRead = false
      const page = await visitor.send('/write', { base: '1', body: 'Mine.', action: 'sign' })
      expect(page.words).toContain('None of the servers that keep this post answers now.')
      expect(visitor.form('/write').fields).toMatchObject({ body: 'Mine.', base: '1' })
    })

    it.each([
      ['a language that is none', { lang: 'ελληνικά, mostly' }],
      ['a language as long as a text', { lang: 'x'.repeat(10_000) }],
    ])('gives it back also with %s', async (_, more) => {
      const { visitor } = await author(maria(first, second))
      await visitor.open(`${edit}/write?slug=one`)
      const page = await visitor.send('/write', { base: '1', body: 'Mine.', ...more })
      expect(page.status).toBe(409)
      expect(visitor.form('/write').fields).toMatchObject({ body: 'Mine.', ...more })
    })

    it.each(['x', '-1', '0.5', '1e999', '9'.repeat(20)])(
      'looks for no version %s',
      async (base) => {
        const open = maria(first)
        const asked: number[] = []
        const entry = (seq: number) => {
          asked.push(seq)
          return open.entry(seq)
        }
        const { visitor } = await author({ ...open, entry })
        await visitor.open(`${edit}/write`)
        const page = await visitor.send('/write', {
          base,
          title: 'T',
          body: 'B',
          action: 'preview',
        })
        expect([page.status, asked]).toEqual([200, []])
      },
    )

    it('gives the text back when its place was taken while it was signed', async () => {
      const { visitor } = await author(maria(first, second), {
        ...{ kind: 'taken', reason: 'Entry 3 of maria is taken.', head: { seq: 3, id: '' } },
      })
      await visitor.open(`${edit}/write?slug=one`)
      const shown = toSign((await visitor.send('/write', { body: 'Mine.', action: 'sign' })).html)
      const page = await visitor.send('/sign', { signed: gpg.sign(shown, key, 'detached') })
      expect([page.status, page.words]).toEqual([
        409,
        expect.stringContaining('Entry 3 of maria is taken.'),
      ])
      expect(visitor.form('/write').fields.body).toBe('Mine.')
    })

    it('restores an older version as the newest one', async () => {
      const { visitor } = await author(maria(first, second))
      const page = await visitor.open(`${edit}/write?slug=one&from=1`)
      expect(page.words).toContain('This is the version of 3 May 2026')
      expect(visitor.form('/write').fields).toMatchObject({
        body: 'The **first** text.',
        base: '2',
      })
    })

    it('removes a post by a signed entry', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/remove?slug=one`)
      const page = await visitor.send('/remove', { body: 'No longer true.' })
      expect(toSign(page.html)).toMatch(/\nkind retract\n[\s\S]*\nslug one\n\nNo longer true\.$/)
    })

    it('changes the blog’s title', async () => {
      const { visitor } = await author()
      await visitor.open(`${edit}/about`)
      const page = await visitor.send('/about', { title: 'Plaza', lang: 'es', about: 'Sobre.' })
      expect(toSign(page.html)).toMatch(/\nkind profile\n[\s\S]*\nlang es\ntitle Plaza\n\nSobre\.$/)
    })
  })

  it('show what was typed as text, whatever it is', async () => {
    const { visitor } = await author()
    await visitor.open(`${edit}/write`)
    for (const action of ['preview', 'sign']) {
      const page = await visitor.send('/write', {
        ...{
          title: cruel,
          body: `${cruel}\n\n</textarea>${cruel}`,
          tags: cruel,
          lang: '',
          slug: '',
        },
        action,
      })
      expect(page.html).not.toContain('<script')
      await visitor.open(`${edit}/write`)
    }
    for (const path of [
      `/write?slug=${encodeURIComponent(cruel)}`,
      `/published?seq=0&id=${encodeURIComponent(cruel)}`,
      `/sign?t=${encodeURIComponent(cruel)}`,
    ]) {
      expect((await visitor.open(edit + path)).html).not.toContain('<script')
    }
  })
})
