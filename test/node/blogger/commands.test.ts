import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { bloggerCommands } from '../../../src/node/blogger/commands.ts'
import { exportLog } from '../../../src/replication/log/archive.ts'
import type { Entry } from '../../../src/replication/log/entry.ts'
import { type Ran, runCommand } from '../../support/command.ts'
import { has } from '../../support/debian.ts'
import { GpgHome } from '../../support/gpg.ts'
import { AnsweringSpoke } from './answering-spoke.ts'
import { collect, WrittenCouncil, WrittenLog } from './written-log.ts'

describe.skipIf(!has('gpg'))('bloggerCommands', () => {
  const gpg = new GpgHome()
  const folder = mkdtempSync(join(tmpdir(), 'council-blogger-'))
  const maria = gpg.makeKey('Maria <maria@example.org>')
  let council: WrittenCouncil
  let log: WrittenLog
  let spoke: AnsweringSpoke
  let state: string

  beforeAll(async () => {
    council = await WrittenCouncil.start()
  })
  beforeEach(async () => {
    spoke = await AnsweringSpoke.start(council)
    log = await WrittenLog.begin(gpg, maria, council.council)
    spoke.log = log.entries.map(({ entry }) => entry)
    state = mkdtempSync(join(folder, 'state-'))
    onTestFinished(() => spoke[Symbol.asyncDispose]())
  })
  afterAll(() => {
    gpg[Symbol.dispose]()
    rmSync(folder, { recursive: true })
  })

  function run(
    args: string[],
    { env = {}, input = '' }: { env?: NodeJS.ProcessEnv; input?: string } = {},
  ): Promise<Ran> {
    return runCommand(bloggerCommands, args, {
      env: { PATH: process.env.PATH, GNUPGHOME: gpg.dir, XDG_STATE_HOME: state, ...env },
      sleep: () => new Promise((resolve) => setImmediate(resolve)),
      readInput: async () => Buffer.from(input),
    })
  }

  const file = (content: string) => {
    const path = join(mkdtempSync(join(folder, 'post-')), 'post.md')
    writeFileSync(path, content)
    return path
  }
  const publish = (content = '# Title\n\nText  \r\nmore\n', ...more: string[]) =>
    run(['publish', file(content), '--blog', 'maria', '--at', spoke.at, '--key', maria, ...more])
  const outbox = () =>
    readdirSync(state, { recursive: true })
      .map(String)
      .filter((name) => /\.(txt|superseded)$/.test(name))

  describe('publish', () => {
    it('signs the file in its form as the next entry and prints one line of JSON', async () => {
      const ran = await publish(undefined, '--lang', 'es', '--tags', 'plaza,asamblea')
      expect(ran).toMatchObject({ exit: 0 })
      expect(ran.out).toHaveLength(1)
      const [submitted] = spoke.submitted
      expect(JSON.parse(ran.out[0] ?? '')).toMatchObject({
        seq: 1,
        id: submitted?.entry.id,
        slug: 'title',
        url: `http://maria.blogs.localhost:${spoke.port}/2026/title`,
        published: true,
        receipts: [{ spoke: 'a' }, { spoke: 'b' }, { spoke: 'c' }],
      })
      expect(submitted?.entry).toMatchObject({
        prev: log.head.id,
        lang: 'es',
        tags: ['asamblea', 'plaza'],
        body: 'Text\\\nmore',
      })
      const verified = gpg.verify(submitted?.entry.text ?? '', submitted?.signature ?? '')
      expect(verified.stdout).toMatch(new RegExp(`VALIDSIG .*${maria}$`, 'm'))
    })

    it('asks --at itself, under the host names of the blog and of the address', async () => {
      await publish()
      expect(spoke.hosts).toEqual([
        'GET /_council/status b.spoke.blogs.localhost',
        'GET /log.json maria.blogs.localhost',
        'POST /log b.spoke.blogs.localhost',
      ])
    })

    it('reads stdin for "-", takes --title, --slug and --date as they are', async () => {
      const ran = await run(
        [
          'publish',
          '-',
          '--blog',
          'maria',
          '--at',
          `http://127.0.0.1:${spoke.port}/any/page`,
          '--key',
          'maria@example.org',
          '--title',
          'Other',
          '--slug',
          'mine',
          '--date',
          '2026-11-23T03:50:00Z',
        ],
        { input: '# Kept\n' },
      )
      expect(ran.exit).toBe(0)
      expect(spoke.submitted[0]?.entry).toMatchObject({
        title: 'Other',
        slug: 'mine',
        body: '# Kept',
        date: '2026-11-23T03:50:00Z',
      })
    })

    it('never dates an entry before the one before it', async () => {
      log.post({ date: '2099-01-01T00:00:00Z' })
      spoke.log = log.entries.map(({ entry }) => entry)
      await publish()
      expect(spoke.submitted[0]?.entry.date).toBe('2099-01-01T00:00:00Z')
      const ran = await publish('# Two', '--date', '2026-11-23T03:50:00Z')
      expect(ran).toMatchObject({ exit: 2, err: expect.stringContaining('Dates never fall') })
    })

    it('signs again behind the new head when the seq was taken meanwhile', async () => {
      const other = log.post({ slug: 'other' }).entries[1]?.entry as Entry
      spoke.on.set('POST /log', (body, request) => {
        spoke.take(body, request)
        spoke.on.delete('POST /log')
        spoke.log.push(other)
        return spoke.taken(other)
      })
      const ran = await publish()
      expect(ran.exit).toBe(0)
      expect(spoke.submitted.map(({ entry }) => [entry.seq, entry.prev])).toEqual([
        [1, log.entries[0]?.entry.id],
        [2, other.id],
      ])
      expect(outbox()).toEqual([])
    })

    it('gives up after three signings, and keeps nothing that can never be published', async () => {
      spoke.on.set('POST /log', (body, request) => spoke.taken(spoke.take(body, request).entry))
      const ran = await publish()
      expect(ran).toMatchObject({ exit: 1, out: [], err: expect.stringContaining('3 times') })
      expect(spoke.submitted).toHaveLength(3)
      expect(outbox()).toEqual([])
    })

    it('exits with 0 and the reason on stderr when an entry is stored but not yet published', async () => {
      spoke.copies = 1
      const ran = await publish()
      expect(ran).toMatchObject({ exit: 0, err: expect.stringContaining('stored on 1 server') })
      expect(JSON.parse(ran.out[0] ?? '')).toMatchObject({ published: false, copies: 1, wanted: 3 })
      expect(outbox()).toHaveLength(1)
    })

    it('waits when it is told to, says so, and goes on with the same entry', async () => {
      let refusals = 2
      const limited = { error: { code: 'RATE_LIMITED', reason: 'Later.' } }
      spoke.on.set('POST /log', () => {
        if (--refusals === 0) spoke.on.delete('POST /log')
        return { status: 429, body: limited, headers: { 'retry-after': '40' } }
      })
      const ran = await publish()
      expect(ran).toMatchObject({ exit: 0, out: [expect.stringContaining('"published":true')] })
      expect(ran.err.match(/going on in 40 s/g)).toHaveLength(2)
      expect(outbox()).toEqual([])
    })

    it('exits with 3 and keeps the entry when it would have to wait for more than an hour', async () => {
      const limited = { error: { code: 'RATE_LIMITED', reason: 'Tomorrow.' } }
      spoke.on.set('POST /log', () => ({
        ...{ status: 429, body: limited, headers: { 'retry-after': '86400' } },
      }))
      expect(await publish()).toMatchObject({
        exit: 3,
        out: [],
        err: expect.stringContaining('Tomorrow'),
      })
      expect(outbox()).toHaveLength(1)
    })

    it('hands the same entry in again, instead of a second one, when it is run again', async () => {
      spoke.on.set('POST /log', (body, request) => {
        spoke.take(body, request)
        return { status: 500, body: 'crash' }
      })
      expect(await publish()).toMatchObject({ exit: 1, out: [] })
      expect(outbox()).toHaveLength(1)
      spoke.on.delete('POST /log')
      const ran = await publish()
      expect(ran.exit).toBe(0)
      expect(spoke.submitted[1]?.entry.id).toBe(spoke.submitted[0]?.entry.id)
      expect(outbox()).toEqual([])
    })

    it('offers what is kept before the next post, and sets aside what another entry replaced', async () => {
      spoke.on.set('POST /log', () => ({ status: 500, body: 'crash' }))
      await publish('# One')
      spoke.on.delete('POST /log')
      await publish('# Two')
      expect(spoke.log.map((entry) => ('title' in entry ? entry.title : ''))).toEqual([
        '',
        'One',
        'Two',
      ])

      spoke.on.set('POST /log', () => ({ status: 500, body: 'crash' }))
      await publish('# Three')
      spoke.on.set('POST /log', (body, request) => {
        spoke.on.delete('POST /log')
        return spoke.taken(spoke.take(body, request).entry)
      })
      const ran = await publish('# Four')
      expect(ran).toMatchObject({ exit: 0, err: expect.stringContaining('.superseded') })
      expect(outbox()).toEqual([expect.stringContaining('.superseded')])
      expect(readFileSync(join(state, outbox()[0] ?? ''), 'utf8')).toContain('title Three')
    })

    it('says the command that signs again what another entry replaced, whatever its words are', async () => {
      const title = `It's "$HOME" \\ $(touch never) — 人人; -x`
      const body = '## Not a header\n\nslug other\n\n$(touch never)\n'
      spoke.on.set('POST /log', () => ({ status: 500, body: 'crash' }))
      await publish(body, '--title', title, '--lang', 'es', '--tags', "a b,it's", '--slug', 'words')
      spoke.on.set('POST /log', (sent, request) => {
        spoke.on.delete('POST /log')
        return spoke.taken(spoke.take(sent, request).entry)
      })
      const { err } = await publish('# Meanwhile')
      const line = /^ {2}(sed .*)$/m.exec(err)?.[1] ?? ''
      const council = `${mkdtempSync(join(folder, 'shell-'))}/council`
      writeFileSync(council, '#!/bin/sh\nprintf "%s\\0" "$@"; cat\n', { mode: 0o755 })
      const shell = spawnSync('sh', ['-c', line], { cwd: dirname(council), encoding: 'utf8' })
      const said = shell.stdout.split('\0')
      const ran = await run(said.slice(0, -1), { input: said.at(-1) ?? '' })
      expect(ran).toMatchObject({ exit: 0 })
      const [lost] = spoke.submitted
      expect(spoke.submitted.at(-1)?.entry).toMatchObject({
        ...{ title, body: lost?.entry.body, lang: 'es', tags: ['a b', "it's"], slug: 'words' },
        prev: spoke.submitted.at(-2)?.entry.id,
      })
      expect(readdirSync(dirname(council))).toEqual(['council'])
    })

    it.each<[string, number, string, (answer: Record<string, unknown>) => unknown]>([
      [
        'no receipts at all',
        1,
        'receipts of 0 replicas',
        (answer) => ({ ...answer, receipts: [] }),
      ],
      [
        'one receipt three times',
        1,
        'receipts of 1 replicas',
        (answer) => ({ ...answer, receipts: Array(3).fill((answer.receipts as unknown[])[0]) }),
      ],
      [
        'receipts that nobody signed',
        1,
        'receipts of 0 replicas',
        (answer) => ({
          ...answer,
          receipts: (answer.receipts as { signature: string }[]).map((each) => ({
            ...each,
            signature: Buffer.alloc(64).toString('base64'),
          })),
        }),
      ],
      ['something that is no answer', 1, 'not what a spoke says', () => ({ hello: 'world' })],
    ])('does not believe "published" with %s', async (_, exit, words, change) => {
      spoke.on.set('POST /log', (body, request) => {
        const reply = spoke.answerTo(spoke.take(body, request).entry)
        return { ...reply, body: change(reply.body as Record<string, unknown>) }
      })
      expect(await publish()).toMatchObject({ exit, out: [], err: expect.stringContaining(words) })
      expect(outbox()).toHaveLength(1)
    })

    it.each<
      [
        string,
        number,
        string,
        () => { status: number; body: unknown; headers?: Record<string, string> },
      ]
    >([
      [
        '400 with a reason',
        4,
        'The body is bad.',
        () => ({ status: 400, body: { error: { code: 'X', reason: 'The body is bad.' } } }),
      ],
      [
        '503 without one',
        3,
        'Try again in a minute',
        () => ({ status: 503, body: Buffer.from('<h1>') }),
      ],
      [
        'a redirect',
        1,
        'redirect',
        () => ({ status: 307, body: '', headers: { location: 'http://127.0.0.1:1/' } }),
      ],
      [
        '5 MB',
        1,
        'longer than 4194304 bytes',
        () => ({ status: 201, body: Buffer.alloc(5 * 1024 * 1024, 0x20) }),
      ],
    ])('reports an answer of %s', async (_, exit, words, reply) => {
      spoke.on.set('POST /log', reply)
      expect(await publish()).toMatchObject({ exit, out: [], err: expect.stringContaining(words) })
    })

    it.each<[string, number, string, string[]]>([
      ['a post without title', 2, 'no title', []],
      ['a title over 200 characters', 4, 'title', ['--title', 'x'.repeat(201)]],
      ['a language that is none', 4, 'lang', ['--title', 'T', '--lang', 'español']],
      ['a slug with a blank', 4, 'slug', ['--title', 'T', '--slug', 'a b']],
      ['a date without time', 2, '--date', ['--title', 'T', '--date', '2026-11-23']],
    ])('refuses %s before anything is sent', async (_, exit, words, options) => {
      const ran = await publish('text', ...options)
      expect(ran).toMatchObject({ exit, out: [], err: expect.stringContaining(words) })
      expect(spoke.submitted).toEqual([])
    })

    it('refuses a text over 64 KiB, a missing file and another key before anything is sent', async () => {
      expect(await publish(`# T\n${'x\n'.repeat(33_000)}x`)).toMatchObject({
        exit: 4,
        err: expect.stringContaining('65536'),
      })
      const args = ['--blog', 'maria', '--at', spoke.at, '--key']
      expect(await run(['publish', 'no-such-file.md', ...args, maria])).toMatchObject({
        exit: 2,
        err: expect.stringContaining('ENOENT'),
      })
      const other = gpg.makeKey('Other <other@example.org>')
      expect(await run(['publish', file('# T'), ...args, other])).toMatchObject({
        exit: 4,
        err: expect.stringContaining(maria),
      })
      expect(spoke.submitted).toEqual([])
    })

    it('exits with 5 when nothing answers, and with 2 for an address that is none', async () => {
      const args = ['publish', file('# T'), '--blog', 'maria', '--key', maria, '--at']
      expect(await run([...args, 'http://127.0.0.1:1'])).toMatchObject({
        exit: 5,
        err: expect.stringContaining('ECONNREFUSED'),
      })
      expect(await run([...args, 'blogs.localhost:8380'])).toMatchObject({
        exit: 2,
        err: expect.stringContaining('--at'),
      })
      expect(await run(args.slice(0, -1))).toMatchObject({
        exit: 2,
        err: expect.stringContaining('--at'),
      })
    })
  })

  describe('--key', () => {
    const claim = (key: string, env: NodeJS.ProcessEnv = {}) =>
      run(['claim', 'maria', '--at', spoke.at, '--key', key], { env })

    it.each<[string, number, string, () => string]>([
      ['that gpg does not have', 2, 'no secret key', () => 'nobody@example.org'],
      ['that begins like an option', 2, 'no secret key', () => '--version'],
      [
        'that is expired',
        4,
        'is expired',
        () =>
          gpg.makeKey('Expired <e@example.org>', 'ed25519', {
            at: '20250101T000000',
            expire: '20250601T000000',
          }),
      ],
      [
        'that is revoked',
        4,
        'is revoked',
        () => {
          const key = gpg.makeKey('Revoked <r@example.org>')
          gpg.importKey(gpg.makeRevocation(key, 'retired'))
          return key
        },
      ],
      ['that is too weak', 4, '2048', () => gpg.makeKey('Weak <w@example.org>', 'rsa1024')],
    ])('refuses a key %s, and sends nothing', async (_, exit, words, key) => {
      expect(await claim(key())).toMatchObject({
        exit,
        out: [],
        err: expect.stringContaining(words),
      })
      expect(spoke.hosts).toEqual([])
    })

    it('lists the keys when a name fits more than one', async () => {
      const keys = ['1', '2'].map((n) => gpg.makeKey(`Twin ${n} <twin@example.org>`))
      const ran = await claim('twin@example.org')
      expect(ran.exit).toBe(2)
      for (const key of keys) expect(ran.err).toContain(key)
    })

    it('says how to get gpg when there is none', async () => {
      expect(await claim(maria, { PATH: folder })).toMatchObject({
        exit: 1,
        err: expect.stringContaining('apt install gnupg'),
      })
    })
  })

  describe('claim', () => {
    const claim = (...more: string[]) =>
      run(['claim', 'maria', '--at', spoke.at, '--key', maria, ...more])

    it('signs a genesis, shows each step once with its time, and ends with the address', async () => {
      spoke.claims(
        { state: 'pending', steps: ['checked'] },
        { state: 'pending', steps: ['checked', 'asked-authority'] },
        { state: 'ready', steps: ['checked', 'asked-authority', 'copied'] },
      )
      const ran = await claim()
      expect(ran).toMatchObject({ exit: 0, out: [`http://maria.blogs.localhost:${spoke.port}/`] })
      expect(
        ran.err.match(/2026-11-23T03:40:00Z +done +\S+/g)?.map((line) => line.split(/ +/)[2]),
      ).toEqual(['checked', 'asked-authority', 'copied'])
      const [genesis] = spoke.submitted
      expect(genesis?.entry).toMatchObject({
        kind: 'genesis',
        seq: 0,
        key: maria,
        council: council.council,
      })
      expect(genesis?.entry.body).toMatch(/^-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n/)
      expect(gpg.verify(genesis?.entry.text ?? '', genesis?.signature ?? '').stdout).toContain(
        'VALIDSIG',
      )
    })

    it('exits with 4 and says who won when the claim is refused, and forgets it', async () => {
      spoke.claims({ state: 'refused', reason: 'maria was claimed on 2026-11-22 by key …66A8.' })
      expect(await claim()).toMatchObject({
        exit: 4,
        out: [],
        err: expect.stringContaining('…66A8'),
      })
      expect(outbox()).toEqual([])
    })

    it('exits with 3 when time is over, and goes on with the same genesis when run again', async () => {
      spoke.claims({ state: 'pending' })
      expect(await claim('--timeout', '1')).toMatchObject({
        exit: 3,
        err: expect.stringContaining('/claim/'),
      })
      spoke.claims({ state: 'ready' })
      expect(await claim('--json')).toMatchObject({
        exit: 0,
        out: [expect.stringContaining('"state":"ready"')],
      })
      expect(spoke.submitted[1]?.entry.id).toBe(spoke.submitted[0]?.entry.id)
    })

    it('ends at once with the address when the genesis is published already', async () => {
      spoke.on.set('POST /log', (body, request) => spoke.answerTo(spoke.take(body, request).entry))
      expect(await claim()).toMatchObject({
        exit: 0,
        out: [expect.stringContaining('maria.blogs')],
      })
    })

    it('goes on while the spoke does not answer for the moment', async () => {
      spoke.on.set('GET /claim/<id>', () => {
        spoke.claims({ state: 'ready' })
        return { status: 503, body: 'starting' }
      })
      expect(await claim()).toMatchObject({ exit: 0 })
    })

    it('refuses a name that can never be one with exit code 4', async () => {
      for (const name of ['ma', '-maria', 'ma--ria', '2026', 'María']) {
        expect(await run(['claim', '--at', spoke.at, '--key', maria, '--', name])).toMatchObject({
          exit: 4,
        })
      }
      expect(spoke.submitted).toEqual([])
    })

    it('reports what the spoke refuses, and a spoke without a council', async () => {
      spoke.on.set('POST /log', () => ({
        status: 403,
        body: { error: { code: 'NAME_RESERVED', reason: 'The name is reserved.' } },
      }))
      expect(await claim()).toMatchObject({ exit: 4, err: expect.stringContaining('reserved') })
      spoke.on.set('GET /_council/status', () => ({ status: 200, body: { council: null } }))
      expect(await claim()).toMatchObject({
        exit: 3,
        err: expect.stringContaining('has not joined'),
      })
    })
  })

  describe('log', () => {
    const show = (...more: string[]) => run(['log', 'maria', '--at', spoke.at, ...more])

    it('lists every entry with its state, and all of it with --json', async () => {
      await publish('# ¿Qué?')
      const ran = await show()
      expect(ran.exit).toBe(0)
      expect(ran.out).toHaveLength(2)
      expect(ran.out[1]).toMatch(/^ +1 {2}20\S+Z {2}post +published +que {2}¿Qué\?$/)
      const [line] = (await show('--json')).out
      expect(JSON.parse(line ?? '')).toMatchObject({
        blog: 'maria',
        head: { seq: 1 },
        entries: [{ seq: 0 }, { seq: 1, slug: 'que', published: true }],
      })
    })

    it('says that a blog is unknown, and that a spoke shows another one', async () => {
      spoke.log = []
      expect(await show()).toMatchObject({
        exit: 1,
        err: expect.stringContaining('no blog maria.blogs.localhost'),
      })
      expect(await run(['log', 'Maria!', '--at', spoke.at])).toMatchObject({ exit: 2 })
    })

    it('lets no control character of a lying spoke reach the terminal', async () => {
      const reply = spoke.logJson()
      const body = reply.body as { entries: { title?: string }[] }
      spoke.on.set('GET /log.json', () => ({
        ...reply,
        body: { ...body, entries: [{ ...body.entries[0], title: 'a\x1b[2Jb\x9bc\u202ed' }] },
      }))
      expect((await show()).out[0]).toMatch(/ {2}a\ufffd\[2Jb\ufffdc\ufffdd$/)
      spoke.on.set('GET /log.json', () => ({
        status: 400,
        body: { error: { code: 'X', reason: 'no\x1b[2J' } },
      }))
      expect((await show()).err).toBe('council log: no\ufffd[2J\n')
    })

    it('offers kept entries again', async () => {
      spoke.on.set('POST /log', () => ({ status: 500, body: 'crash' }))
      await publish('# One')
      spoke.on.delete('POST /log')
      expect((await show()).out).toHaveLength(2)
    })
  })

  describe('export and verify', () => {
    const get = (output: string) => run(['export', 'maria', '-o', output, '--at', spoke.at])
    const serve = async (change: (tar: Buffer) => Buffer = (tar) => tar) => {
      log.post()
      log.proofs.value = council.proof(log)
      const tar = change(await collect(exportLog(log.source())))
      spoke.on.set('GET /export.tar', () => ({ status: 200, body: tar }))
    }

    it('writes a checked archive that verify accepts, and names council, key and replicas', async () => {
      await serve()
      const output = join(state, 'maria.tar')
      expect(await get(output)).toMatchObject({
        exit: 0,
        err: expect.stringContaining('published up to entry 1'),
      })
      const ran = await run(['verify', output])
      expect(ran.exit).toBe(0)
      const said = ran.out.join('\n')
      for (const word of [
        council.council,
        maria,
        council.authority.peer,
        ...council.spokes.map(({ peer }) => peer),
      ]) {
        expect(said).toContain(word)
      }
      const [line] = (await run(['verify', output, '--json'])).out
      expect(JSON.parse(line ?? '')).toMatchObject({
        blog: 'maria',
        head: { seq: 1 },
        copies: { published: 1 },
      })
    })

    it('leaves what was there, and nothing else, when the archive is forged, cut or too late', async () => {
      const output = join(state, 'maria.tar')
      writeFileSync(output, 'older archive')
      for (const change of [
        (tar: Buffer) => Buffer.from(tar.toString('latin1').replace('\nText', '\nTest'), 'latin1'),
        (tar: Buffer) => tar.subarray(0, tar.length - 1024),
        () => Buffer.alloc(0),
      ]) {
        await serve(change)
        expect(await get(output)).toMatchObject({ exit: 1 })
      }
      spoke.on.delete('GET /export.tar')
      expect(await get(output)).toMatchObject({ exit: 1 })
      expect(readdirSync(state)).toEqual(['maria.tar'])
      expect(readFileSync(output, 'utf8')).toBe('older archive')
    })

    it('names the first bad entry', async () => {
      await serve((tar) =>
        Buffer.from(tar.toString('latin1').replace('\nText', '\nTest'), 'latin1'),
      )
      expect(await get(join(state, 'x.tar'))).toMatchObject({
        exit: 1,
        err: expect.stringMatching(/Entry 1 is bad: .+/),
      })
      expect(await run(['verify', join(state, 'nothing.tar')])).toMatchObject({ exit: 2 })
    })

    it('says that it cannot write where there is no folder', async () => {
      await serve()
      expect(await get(join(state, 'no', 'folder', 'x.tar'))).toMatchObject({
        exit: 1,
        err: expect.stringContaining('Cannot write'),
      })
    })
  })
})
