import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../../src/auth/public-key.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { formatDate } from '../../../src/replication/log/text.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import { CouncilLogs } from '../../../src/replication/registry/council-logs.ts'
import {
  checkRevokeAct,
  type RevokeAct,
  RevokedKeys,
} from '../../../src/replication/registry/revoked-keys.ts'
import { TestAuthor } from '../test-author.ts'
import {
  codeOf,
  councilIngest,
  dayMs,
  must,
  peer,
  startMs,
  storeOf,
  TestClock,
  TestCouncil,
  TestDisk,
} from '../test-council.ts'

const [maria, mallory] = [await TestAuthor.make('maria'), await TestAuthor.make('mallory')]
const by = maria.fingerprint as Fingerprint
const retired = await maria.revoke(3, 'new laptop')
const compromised = await maria.revoke(2)
const revoke = (certificate: string, key: string = by): Decision => ({
  ...{ kind: 'revoke', key, certificate },
})
const change = (certificate: string) => {
  const at = certificate.length - 120
  return (
    certificate.slice(0, at) + (certificate[at] === 'A' ? 'B' : 'A') + certificate.slice(at + 1)
  )
}

/** A council, and a peer that carries its logs. */
async function begin(number = 1) {
  const council = new TestCouncil().admit(1, 2, 3)
  const { store } = new TestDisk()
  const ingest = councilIngest(
    store,
    () => logs.roster(),
    () => council.roster.councilId,
  )
  const logs: CouncilLogs = new CouncilLogs({
    ...{ store, ingest, signer: peer(number), storeId: () => storeOf(number) },
    ...{ clock: new TestClock(), askHolder: async () => [] },
  })
  await logs.start()
  await logs.take(rosterLog, council.rosterProofs, 'pull')
  await logs.take(namesLog, council.namesProofs, 'pull')
  return { council, logs }
}

const forged: [string, Decision, string][] = [
  ['no certificate', revoke('x'), 'REVOCATION_FORM'],
  ['the whole key', revoke(maria.block), 'REVOCATION_FORM'],
  ['another key', revoke(retired, mallory.fingerprint), 'REVOCATION_KEY'],
  ['an altered certificate', revoke(change(retired)), 'REVOCATION_FORM'],
  ['blanks around it', revoke(retired.replace('\n\n', '\n\n\n')), 'REVOCATION_FORM'],
]

describe('an act that revokes a key', () => {
  it.each(forged)('is refused by every peer with %s', async (_, decision, code) => {
    const { council, logs } = await begin()
    const outcome = await logs.take(namesLog, [council.draft(decision).proof], 'pull')
    expect(outcome).toMatchObject({ kind: 'refused', refusal: { code } })
    expect(logs.names()?.head.seq).toBe(0)
    expect(logs.names()?.revoked.seqs).toEqual([])
  })

  it.each(forged)('gets no receipt of a holder with %s', async (_, decision, code) => {
    const { council, logs } = await begin(0)
    expect(
      codeOf(
        await logs.holding.hold(namesLog, [council.draft(decision).proof], {
          count: 1,
          id: '0'.repeat(32),
        }),
      ),
    ).toBe(code)
  })

  it('is in the log with what it says, also after a restart', async () => {
    const { council, logs } = await begin()
    const { act, proof } = council.write(revoke(retired))
    expect(await logs.take(namesLog, [proof], 'pull')).toMatchObject({ kind: 'held' })
    const told = { key: by, reason: 3, isHard: false, text: 'new laptop', seq: 1 }
    const dates = { dateMs: startMs, knownMs: act.dateMs }
    expect(logs.names()?.revoked.of(by)).toEqual({ ...told, ...dates })
    await logs.start()
    expect(logs.names()?.revoked.of(by)).toEqual({ ...told, ...dates })
  })

  it('comes once per key; a hard revocation may follow a soft one', async () => {
    const { council, logs } = await begin()
    const codes: string[] = []
    for (const certificate of [
      retired,
      retired,
      await maria.revoke(1),
      compromised,
      await maria.revoke(0),
      retired,
    ]) {
      const { proof } = council.draft(revoke(certificate), { head: logs.head(namesLog) as never })
      const outcome = await logs.take(namesLog, [proof], 'pull')
      codes.push(outcome.kind === 'refused' ? outcome.refusal.code : outcome.kind)
    }
    const known = 'REVOCATION_KNOWN'
    expect(codes).toEqual(['held', known, known, 'held', known, known])
    expect(logs.names()?.revoked.of(by)).toMatchObject({ reason: 2, isHard: true, seq: 2 })
  })
})

describe('RevokedKeys', () => {
  it('comes down to the same in whatever order acts come', async () => {
    const council = new TestCouncil().admit(1)
    const acts = [retired, compromised].map((it) => council.write(revoke(it)).act as RevokeAct)
    const fold = (row: readonly RevokeAct[]) => {
      const keys = new RevokedKeys()
      for (const act of row) keys.apply(act)
      return keys.of(by)
    }
    expect(fold(acts)).toEqual(fold(acts.toReversed()))
    expect(fold(acts)).toMatchObject({ isHard: true, seq: 2, knownMs: acts[0]?.dateMs })
  })

  it('tells nothing of other keys', () => {
    expect(new RevokedKeys().of(by)).toBeNull()
  })
})

describe('checkRevokeAct', () => {
  it('does not depend on any clock: a date far ahead counts too', async () => {
    const certificate = await maria.revoke(1, '', startMs + 4_000 * dayMs)
    const { act } = new TestCouncil().admit(1).draft(revoke(certificate))
    const { dateMs } = must(await checkRevokeAct(act as RevokeAct))
    expect(formatDate(dateMs)).toBe(formatDate(startMs + 4_000 * dayMs))
  })
})
