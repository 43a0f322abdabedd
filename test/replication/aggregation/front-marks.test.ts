import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../../src/auth/public-key.ts'
import { markPost, markWords } from '../../../src/replication/aggregation/front-marks.ts'
import type { RevokedKey } from '../../../src/replication/registry/revoked-keys.ts'
import { peer, startMs, TestCouncil } from '../test-council.ts'

const council = new TestCouncil().admit(1, 2)
council.write({ kind: 'cutoff', peer: peer(2).peer, reason: 'lies', evidence: null })
const { roster } = council
const key = 'A'.repeat(40) as Fingerprint
const revokedAs = (reason: 0 | 1 | 2 | 3): RevokedKey => ({
  ...{ key, reason, isHard: reason === 0 || reason === 2, text: '', seq: 7 },
  ...{ dateMs: startMs - 9, knownMs: startMs },
})
const mark = (
  revoked: RevokedKey | null,
  { seenMs = startMs - 1, primary = peer(1).peer as typeof key | string | null } = {},
) => markPost({ key, seenMs }, { revoked: () => revoked, primary: primary as never, roster })
const words = (...given: Parameters<typeof mark>) => {
  const said = mark(...given)
  return said === null ? null : markWords(said, () => '3 May')
}

describe('markPost', () => {
  it.each([
    ['a post of a good key', null, {}, null],
    ['a post of a compromised key', revokedAs(2), {}, 'key revoked 3 May: compromised'],
    [
      'a post of a key revoked without a reason',
      revokedAs(0),
      {},
      'key revoked 3 May: no reason given',
    ],
    ['a post from before its key was retired', revokedAs(3), {}, null],
    [
      'a post from after its key was retired',
      revokedAs(3),
      { seenMs: startMs },
      'key revoked 3 May: retired',
    ],
    [
      'a post of a blog whose primary is cut off',
      null,
      { primary: peer(2).peer },
      'its server s2 was cut off',
    ],
    ['a post of a blog whose primary is not known', null, { primary: null }, null],
    [
      'the key before the server',
      revokedAs(2),
      { primary: peer(2).peer },
      'key revoked 3 May: compromised',
    ],
  ])('marks %s rightly', (_what, revoked, change, wanted) => {
    expect(words(revoked, change)).toBe(wanted)
  })
})
