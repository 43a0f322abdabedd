import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Header } from 'tar'
import { afterAll, describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import {
  type ArchiveFiles,
  exportLog,
  readArchive,
  verifyLog,
} from '../../../src/replication/log/archive.ts'
import type { Entry } from '../../../src/replication/log/entry.ts'
import { collect, must, WrittenLog } from '../../node/blogger/written-log.ts'
import { has } from '../../support/debian.ts'
import { GpgHome } from '../../support/gpg.ts'

const council = `blogs.example.org/${'5f'.repeat(32)}`
const verdict = (files: ArchiveFiles) => verifyLog(files, new KeyRing())

function tarOf(
  ...files: { path: string; body?: string; type?: 'File' | 'SymbolicLink' }[]
): Buffer {
  const blocks = files.map(({ path, body = '', type = 'File' }) => {
    const header = new Header({
      path,
      type,
      size: body.length,
      mode: 0o644,
      ...(type === 'File' ? {} : { linkpath: '/etc/passwd' }),
    })
    const block = Buffer.alloc(512 + Math.ceil(body.length / 512) * 512)
    header.encode(block, 0)
    block.write(body, 512)
    return block
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

describe('readArchive', () => {
  const good = { path: 'maria/entries/000000.txt', body: 'text' }
  it.each([
    ['a path that climbs out', tarOf(good, { path: '../evil', body: 'x' }), 'ARCHIVE_PATH'],
    ['a path that climbs out further in', tarOf({ path: 'maria/../../evil' }), 'ARCHIVE_PATH'],
    ['an absolute path', tarOf(good, { path: '/etc/passwd', body: 'x' }), 'ARCHIVE_PATH'],
    ['a path with a backslash', tarOf({ path: 'maria\\..\\evil', body: 'x' }), 'ARCHIVE_PATH'],
    ['a file twice', tarOf(good, good), 'ARCHIVE_PATH'],
    ['files in two folders', tarOf(good, { path: 'other/key.asc' }), 'ARCHIVE_PATH'],
    ['a link', tarOf(good, { path: 'maria/key.asc', type: 'SymbolicLink' }), 'ARCHIVE_LINK'],
    ['no tar at all', Buffer.from('<html>'.repeat(1000)), 'ARCHIVE_NOT_TAR'],
    ['nothing', Buffer.alloc(0), 'ARCHIVE_NOT_TAR'],
    ['a tar without its end', tarOf(good).subarray(0, -1024), 'ARCHIVE_CUT_SHORT'],
    [
      'a tar cut within a file',
      tarOf({ path: 'maria/a', body: 'x'.repeat(2000) }).subarray(0, 1536),
      'ARCHIVE_CUT_SHORT',
    ],
    ['a header with a bad checksum', flip(tarOf(good), 3), 'ARCHIVE_NOT_TAR'],
  ])('refuses %s', (_, tar, code) => {
    expect(readArchive(tar)).toMatchObject({ ok: false, code })
  })

  it('takes off the one folder around the files, with or without "./"', () => {
    for (const path of ['maria/entries/000000.txt', './entries/000000.txt']) {
      const files = must(readArchive(tarOf({ path, body: 'text' })))
      expect(Buffer.from(files.get('entries/000000.txt') ?? []).toString()).toBe('text')
    }
  })
})

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] as number) ^ 1
  return changed
}

describe.skipIf(!has('gpg'))('verifyLog', () => {
  const gpg = new GpgHome()
  const folders: string[] = []
  const [maria, later, recovery, mallory] = ['Maria', 'Later', 'Recovery', 'Mallory'].map((name) =>
    gpg.makeKey(`${name} <${name.toLowerCase()}@example.org>`, 'ed25519', {
      at: '20260101T000000',
    }),
  ) as [string, string, string, string]
  afterAll(() => {
    gpg[Symbol.dispose]()
    for (const folder of folders) rmSync(folder, { recursive: true })
  })

  const begin = (recoveryKey?: string) => WrittenLog.begin(gpg, maria, council, recoveryKey)
  const filesOf = async (log: WrittenLog) =>
    new Map(must(readArchive(await collect(exportLog(log.source())))))

  /** Runs the archive's own verify.sh where it is unpacked. */
  function runScript(files: ArchiveFiles) {
    const folder = mkdtempSync(join(tmpdir(), 'council-archive-'))
    folders.push(folder)
    for (const [name, bytes] of files) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), bytes)
    }
    const run = spawnSync('sh', [join(folder, 'verify.sh')], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, GNUPGHOME: '/nonexistent' },
    })
    return { exit: run.status, said: run.stdout + run.stderr }
  }

  type Files = Map<string, Uint8Array>
  const swap = (files: Files, a: string, b: string) => {
    const [first, second] = [files.get(a) as Uint8Array, files.get(b) as Uint8Array]
    files.set(a, second).set(b, first)
  }
  const text = (seq: number) => `entries/00000${seq}.txt`
  const asc = (seq: number) => `${text(seq)}.asc`
  const forge = (seq: number, how: (was: string) => string) => (files: Files) => {
    files.set(text(seq), Buffer.from(how(Buffer.from(files.get(text(seq)) ?? []).toString())))
  }

  it.each<[string, number, string, (files: Files) => unknown]>([
    [
      'one byte of a body changed',
      2,
      'SIGNATURE_BAD',
      forge(2, (was) => was.replace('Text', 'Test')),
    ],
    [
      'one byte of the last body changed',
      3,
      'SIGNATURE_BAD',
      forge(3, (was) => was.replace('Text', 'Test')),
    ],
    ['an entry left out', 2, 'ARCHIVE_NO_ENTRY', (files) => files.delete(text(2))],
    ['the genesis left out', 0, 'ARCHIVE_NO_ENTRY', (files) => files.delete(text(0))],
    ['a signature left out', 1, 'ARCHIVE_NO_SIGNATURE', (files) => files.delete(asc(1))],
    ['two signatures exchanged', 1, 'SIGNATURE_BAD', (files) => swap(files, asc(1), asc(2))],
    [
      'two entries exchanged',
      1,
      'ENTRY_SEQ',
      (files) => {
        swap(files, asc(1), asc(2))
        swap(files, text(1), text(2))
      },
    ],
    [
      'a signature by another key',
      2,
      'SIGNATURE_OTHER_KEY',
      (files) => files.set(asc(2), Buffer.from(gpg.sign(files.get(text(2)) ?? '', mallory))),
    ],
    [
      'two signatures in one file',
      1,
      '',
      (files) => {
        const one = Buffer.from(files.get(asc(1)) ?? '')
        files.set(asc(1), Buffer.concat([one, one]))
      },
    ],
    [
      'a clear-signed text instead of a signature',
      1,
      '',
      (files) => files.set(asc(1), Buffer.from(gpg.sign('hello', maria, 'clear'))),
    ],
    [
      'a SHA-1 signature',
      1,
      '',
      (files) =>
        files.set(
          asc(1),
          Buffer.from(
            gpg.sign(files.get(text(1)) ?? '', maria, 'detached', {
              options: ['--digest-algo', 'SHA1', '--allow-weak-digest-algos'],
            }),
          ),
        ),
    ],
    ['a text that is no entry', 1, '', forge(1, () => 'hello')],
    ['a header twice', 1, '', forge(1, (was) => was.replace('seq 1', 'seq 1\nseq 1'))],
  ])('and verify.sh name entry and reason of an archive with %s', async (_, seq, code, change) => {
    const files = await filesOf(
      (await begin()).post().post({ slug: 'two' }).post({ slug: 'three' }),
    )
    change(files)
    const checked = await verdict(files)
    expect(checked).toMatchObject({ ok: false, seq })
    if (!checked.ok && code !== '') expect(checked.code).toBe(code)
    const run = runScript(files)
    expect(run.said).toContain(`bad: entry ${seq}:`)
    expect(run.exit).toBe(1)
  })

  it.each<[string, string, (log: WrittenLog) => unknown]>([
    [
      'for another blog',
      'ENTRY_BLOG',
      (log) => log.add({ kind: 'retract', ...log.next(), blog: 'other', slug: 'x', body: '' }),
    ],
    [
      'for another council',
      'ENTRY_COUNCIL',
      (log) =>
        log.add({
          kind: 'retract',
          ...log.next(),
          council: council.replace('5f', '6f'),
          slug: 'x',
          body: '',
        }),
    ],
    [
      'that skips a number',
      'ENTRY_SEQ',
      (log) => log.add({ kind: 'retract', ...log.next(), seq: 3, slug: 'x', body: '' }),
    ],
    [
      'with another prev',
      'ENTRY_PREV',
      (log) =>
        log.add({ kind: 'retract', ...log.next(), prev: '0'.repeat(64), slug: 'x', body: '' }),
    ],
    [
      'dated before the one before it',
      'ENTRY_DATE',
      (log) => log.post({ date: '2026-11-23T03:39:59Z' }),
    ],
    ['by a key that the log never named', 'ENTRY_OTHER_KEY', (log) => log.use(mallory).post()],
    ['by the recovery key', 'ENTRY_OTHER_KEY', (log) => log.use(recovery).post()],
  ])('and verify.sh refuse a signed entry %s', async (_, code, add) => {
    const log = (await begin(recovery)).post()
    add(log)
    const files = await filesOf(log)
    expect(await verdict(files)).toMatchObject({ ok: false, seq: 2, code })
    const run = runScript(files)
    expect(run.said).toContain('bad: entry 2:')
    expect(run.exit).toBe(1)
  })

  it('and verify.sh refuse the old key after a rekey, and a rekey that the new key did not sign', async () => {
    const log = await begin()
    await log.rekey(later)
    const stale = await filesOf(log.use(maria).post())
    expect(await verdict(stale)).toMatchObject({ ok: false, seq: 2, code: 'ENTRY_OTHER_KEY' })
    expect(runScript(stale)).toMatchObject({
      exit: 1,
      said: expect.stringContaining('bad: entry 2:'),
    })

    const forged = await begin()
    const { entry: rekey } = log.entries[1] as { entry: Entry }
    const body = rekey.body.replace(
      /\n\n-----BEGIN PGP SIG.*$/s,
      `\n\n${gpg.sign('other', later).trimEnd()}`,
    )
    forged.add({ kind: 'rekey', ...forged.next(), next: later, body })
    const files = await filesOf(forged)
    expect(await verdict(files)).toMatchObject({ ok: false, seq: 1, code: 'REKEY_POSSESSION' })
    expect(runScript(files)).toMatchObject({
      exit: 1,
      said: expect.stringContaining('bad: entry 1:'),
    })
  })

  it('and verify.sh accept what an export writes, rekeys included, and name keys and head', async () => {
    const log = (await begin(recovery)).post()
    await log.rekey(later)
    log.post({ slug: 'two', body: '¿Qué?\n\n人人\n\n-----BEGIN PGP PUBLIC KEY BLOCK-----' })
    await log.rekey(mallory, { signer: recovery, date: '2026-11-23T04:00:00Z' })
    log.use(mallory).post({ slug: 'three', date: '2026-11-26T04:00:00Z' })
    const files = await filesOf(log)
    expect(await verdict(files)).toMatchObject({
      ok: true,
      value: { blog: 'maria', council, head: log.head, posts: 3, hasOwnScript: true },
    })
    const run = runScript(files)
    expect(run.said).toContain('good: 6 entries of blog maria')
    expect(run.said).toContain(log.head.id)
    expect(run.said).toContain(mallory)
    expect(run.exit).toBe(0)
  })

  it('and verify.sh refuse a key that the recovery key brought in before 72 hours are over', async () => {
    const log = await begin(recovery)
    await log.rekey(later, { signer: recovery, date: '2026-11-23T04:00:00Z' })
    const files = await filesOf(log.use(later).post({ date: '2026-11-26T03:59:59Z' }))
    expect(await verdict(files)).toMatchObject({ ok: false, seq: 2, code: 'REKEY_TOO_EARLY' })
    expect(runScript(files)).toMatchObject({
      exit: 1,
      said: expect.stringContaining('bad: entry 2:'),
    })
  })

  it('reports a verify.sh that is not the one this program writes', async () => {
    const files = await filesOf(await begin())
    files.set('verify.sh', Buffer.from('rm -rf ~'))
    expect(await verdict(files)).toMatchObject({ ok: true, value: { hasOwnScript: false } })
  })

  it('accepts a log whose key has expired since, as its entries were good when they were signed', async () => {
    const old = gpg.makeKey('Old <old@example.org>', 'ed25519', {
      at: '20250101T000000',
      expire: '20250601T000000',
    })
    const log = await WrittenLog.begin(
      {
        ...gpg,
        exportKey: (key: string) => gpg.exportKey(key),
        sign: (bytes: Uint8Array, key: string) =>
          gpg.sign(bytes, key, 'detached', { at: '20250201T000000' }),
      } as unknown as GpgHome,
      old,
      council,
    )
    const files = await filesOf(log)
    expect(await verdict(files)).toMatchObject({ ok: true })
    expect(runScript(files)).toMatchObject({ exit: 0 })
  })
})

describe.skipIf(!has('gpg'))('exportLog', () => {
  it('writes the same bytes for the same log, in a tar that other programs read', async () => {
    using gpg = new GpgHome()
    const log = (
      await WrittenLog.begin(gpg, gpg.makeKey('Maria <maria@example.org>'), council)
    ).post()
    const tar = await collect(exportLog(log.source()))
    expect(await collect(exportLog(log.source()))).toEqual(tar)
    const listed = spawnSync('tar', ['-tf', '-'], { input: tar, encoding: 'utf8' })
    expect(listed.stdout.trim().split('\n')).toEqual([
      'maria/README.txt',
      'maria/verify.sh',
      'maria/key.asc',
      'maria/entries/000000.txt',
      'maria/entries/000000.txt.asc',
      'maria/entries/000001.txt',
      'maria/entries/000001.txt.asc',
    ])
  })

  it('ends with an error when an entry below the head is not here, so that no archive hides it', async () => {
    using gpg = new GpgHome()
    const log = (
      await WrittenLog.begin(gpg, gpg.makeKey('Maria <maria@example.org>'), council)
    ).post()
    const source = {
      ...log.source(),
      entry: async (seq: number) => (seq === 1 ? null : (log.entries[seq] ?? null)),
    }
    await expect(collect(exportLog(source))).rejects.toMatchObject({ code: 'NOT_READY' })
  })
})
