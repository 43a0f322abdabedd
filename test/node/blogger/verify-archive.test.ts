import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { openArchive, verifyArchive } from '../../../src/node/blogger/verify-archive.ts'
import { exportLog, type LogProof, readArchive } from '../../../src/replication/log/archive.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import { has } from '../../support/debian.ts'
import { GpgHome } from '../../support/gpg.ts'
import { collect, must, WrittenCouncil, WrittenLog } from './written-log.ts'

describe.skipIf(!has('gpg'))('verifyArchive', () => {
  const gpg = new GpgHome()
  const folder = mkdtempSync(join(tmpdir(), 'council-verify-'))
  let council: WrittenCouncil
  let log: WrittenLog
  beforeAll(async () => {
    council = await WrittenCouncil.start()
    log = await WrittenLog.begin(gpg, gpg.makeKey('Maria <maria@example.org>'), council.council)
    log.post().post({ slug: 'two' })
  })
  afterAll(() => {
    gpg[Symbol.dispose]()
    rmSync(folder, { recursive: true })
  })

  const archive = (proof: LogProof) => {
    log.proofs.value = proof
    return collect(exportLog(log.source()))
  }
  const check = async (proof: LogProof) =>
    verifyArchive(must(readArchive(await archive(proof))), new KeyRing())
  const good = () => council.proof(log)

  it.each<[string, string, () => LogProof]>([
    [
      'a receipt with one byte changed',
      'PEER_SIGNATURE',
      () => {
        const [first, ...rest] = good().receipts
        const text = Buffer.from(first?.text ?? [])
          .toString()
          .replace(/since 2026/, 'since 2025')
        return { ...good(), receipts: [{ ...first, text: Buffer.from(text) } as never, ...rest] }
      },
    ],
    [
      'a receipt for another entry',
      'ARCHIVE_FORK',
      () => council.proof(log, { change: { head: { seq: 2, id: '0'.repeat(64) as EntryId } } }),
    ],
    [
      'a receipt for an entry that is left out',
      'NOT_READY',
      () => council.proof(log, { change: { head: { seq: 3, id: '0'.repeat(64) as EntryId } } }),
    ],
    [
      'an act that the authority did not sign',
      'ACT_SIGNATURE',
      () => council.proof(log, { signer: council.spokes[1] as never }),
    ],
    [
      'an act without receipts of its holders',
      'ACT_NOT_IN_FORCE',
      () => {
        const { act, ...rest } = good()
        return { ...rest, act: act === null ? null : { ...act, receipts: [] } }
      },
    ],
    ['no roster', 'COUNCIL_ID', () => ({ ...good(), roster: [] })],
    [
      'a roster cut before the line that the act names',
      'ROSTER_BEHIND',
      () => ({ ...good(), roster: council.roster.slice(0, 2) }),
    ],
    [
      'a roster with a line left out',
      'ROSTER_LINE',
      () => ({ ...good(), roster: council.roster.toSpliced(1, 1) }),
    ],
    [
      'a roster line by somebody else',
      'ROSTER_SIGNATURE',
      () => ({
        ...good(),
        roster: council.roster.map((line, index) =>
          index === 2
            ? { ...line, signature: council.spokes[0]?.sign(line.text) as Uint8Array }
            : line,
        ),
      }),
    ],
  ])('refuses an archive with %s', async (_, code, proof) => {
    const run = async () => {
      const checked = await check(proof())
      if (!checked.ok) throw Object.assign(new Error(checked.reason), checked)
    }
    await expect(run()).rejects.toMatchObject({ code })
  })

  it('refuses an archive of another council with the same signatures', async () => {
    const other = await WrittenCouncil.start()
    expect(await check(other.proof(log))).toMatchObject({ ok: false, code: 'COUNCIL_ID' })
  })

  it('names the first entry that is left out although a replica gave a receipt for it', async () => {
    const files = must(readArchive(await archive(good())))
    const cut = new Map([...files].filter(([name]) => !name.startsWith('entries/000002')))
    expect(await verifyArchive(cut, new KeyRing())).toMatchObject({
      ok: false,
      seq: 2,
      code: 'ARCHIVE_NO_ENTRY',
    })
  })

  it('names the replicas that gave receipts and the authority that was believed', async () => {
    const checked = await check(council.proof(log, { receipts: [0, 2] }))
    expect(checked).toMatchObject({
      ok: true,
      value: {
        log: { head: log.head, posts: 2 },
        copies: {
          epoch: 1,
          authority: council.authority.peer,
          published: 2,
          replicas: [
            { spoke: 'a', seq: 2 },
            { spoke: 'b', seq: null },
            { spoke: 'c', seq: 2 },
          ],
        },
      },
    })
  })

  it('counts nothing as published with receipts of fewer than a majority', async () => {
    expect(await check(council.proof(log, { receipts: [1] }))).toMatchObject({
      ok: true,
      value: { copies: { published: -1 } },
    })
  })

  it('counts no receipt that was given under another act', async () => {
    const change = { act: '1'.repeat(64) as EntryId }
    expect(await check(council.proof(log, { change }))).toMatchObject({
      ok: true,
      value: { copies: { published: -1 } },
    })
  })

  it('says so when an archive has no act', async () => {
    expect(await check({ receipts: [], act: null, roster: [] })).toMatchObject({
      ok: true,
      value: { copies: null },
    })
  })

  it('reads the same from the tar, from its folder, and from the folder around it', async () => {
    const tar = await archive(good())
    writeFileSync(join(folder, 'maria.tar'), tar)
    for (const [name, bytes] of must(readArchive(tar))) {
      const path = join(folder, 'unpacked', 'maria', name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, bytes)
    }
    for (const path of ['maria.tar', 'unpacked/maria', 'unpacked']) {
      const files = must(await openArchive(join(folder, path)))
      expect(await verifyArchive(files, new KeyRing())).toMatchObject({ ok: true })
    }
    expect(await openArchive(join(folder, 'nothing'))).toMatchObject({ code: 'ARCHIVE_NOT_FOUND' })
  })
})
