import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import type { Fingerprint } from '../../../src/auth/public-key.ts'
import {
  decideClaim,
  isReserved,
  maxNamesPerKey,
  maxNamesPerSpokeDay,
  skeletonOf,
} from '../../../src/node/authority/claims.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { AssignFields } from '../../../src/replication/registry/act.ts'
import { Names } from '../../../src/replication/registry/names.ts'
import {
  actOf,
  assignFields,
  codeOf,
  dayMs,
  fakeId,
  peer,
  startMs,
  TestCouncil,
} from '../../replication/test-council.ts'

const key = 'B'.repeat(40)

/** `@names` with these assignments, and how the authority decides a claim by it. */
function given(...assignments: Partial<AssignFields>[]) {
  const council = new TestCouncil().admit(1, 2, 3)
  const names = new Names(actOf(council.namesProofs[0] as never))
  for (const [index, fields] of assignments.entries()) {
    const genesis = fakeId(String(index + 10))
    names.apply(
      council.write(assignFields({ genesis, key: `${index + 10}`.repeat(20), ...fields })).act,
    )
  }
  const namesBySkeleton = new Map([...names.blogs.keys()].map((name) => [skeletonOf(name), name]))
  return (
    name: string,
    { via = peer(1).peer, nowMs = startMs }: { via?: PeerName; nowMs?: number } = {},
  ) =>
    decideClaim({ log: name as BlogName, key: key as Fingerprint, id: fakeId('ff') }, via, {
      ...{ names, namesBySkeleton, nowMs },
    })
}
const blog = (name: string, more: Partial<AssignFields> = {}) => ({
  blog: name as BlogName,
  ...more,
})
const letters = 'abcdefghijklmnopqrstuvwxyz'
const many = (count: number) =>
  Array.from({ length: count }, (_, at) => blog(`blog${(letters[at] as string).repeat(3)}x`))

describe('decideClaim', () => {
  it.each(['ab', 'x'.repeat(31), '-maria', 'ma--ria', '2026', 'Maria', 'ma.ria', 'edit--maria'])(
    'refuses the malformed name %s',
    (name) => expect(codeOf(given()(name))).toBe('NAME_MALFORMED'),
  )

  it.each([
    'edit',
    'spoke',
    'www',
    'admin',
    'wpad',
    'openpgpkey',
    'mta-sts',
    'no-reply',
    'ns1',
    'mx20',
  ])('refuses the reserved name %s', (name) =>
    expect(codeOf(given()(name))).toMatch(/NAME_RESERVED/),
  )

  it('tells the loser who won and when', () => {
    const verdict = given(blog('maria', { key: 'A'.repeat(40) }))('maria')
    expect(verdict).toMatchObject({ ok: false, code: 'NAME_TAKEN' })
    expect(verdict.ok ? '' : verdict.reason).toMatch(/A{40} on 2026-11-23 03:40 UTC/)
  })

  it.each([
    ['maria', 'mar1a'],
    ['maria', 'marla'],
    ['maria', 'ma-ria'],
    ['rnaria', 'maria'],
    ['bob', 'b0b'],
    ['wow', 'vvow'],
  ])('refuses a look-alike of %s: %s', (taken, name) => {
    expect(codeOf(given(blog(taken))(name))).toBe('NAME_LOOKS_ALIKE')
  })

  it('gives a key a few names only', () => {
    const own = ['one', 'two'].map((name) => blog(name, { key }))
    expect(maxNamesPerKey).toBe(own.length)
    expect(codeOf(given(...own)('three'))).toBe('NAME_QUOTA_KEY')
    expect(codeOf(given(...own.slice(1))('three'))).toBe('accepted')
  })

  it('takes a few names a day only from one spoke', () => {
    const decide = given(...many(maxNamesPerSpokeDay))
    expect(codeOf(decide('maria'))).toBe('NAME_QUOTA_SPOKE')
    expect(codeOf(decide('maria', { via: peer(2).peer }))).toBe('accepted')
    expect(codeOf(decide('maria', { nowMs: startMs + dayMs + 60_000 }))).toBe('accepted')
  })

  it('says of a taken name whether it is the claimant’s own', () => {
    const decide = given(blog('maria', { key }))
    const reasonOf = (verdict: ReturnType<typeof decide>) => (verdict.ok ? '' : verdict.reason)
    expect(reasonOf(decide('maria'))).toMatch(/That is your key: the blog is yours\.$/)
    const others = given(blog('maria'))
    expect(reasonOf(others('maria'))).toMatch(/Choose another name\.$/)
  })

  it('gives a free name', () => {
    expect(codeOf(given(blog('joe'))('maria'))).toBe('accepted')
  })
})

describe('isReserved', () => {
  it('reserves what DNS and mail use, and leaves names beside it', () => {
    expect(['ns', 'ns12', 'mx', 'mx1'].every(isReserved)).toBe(true)
    expect(['nsa', 'ns1a', 'editor', 'newsletter'].some(isReserved)).toBe(false)
  })
})
