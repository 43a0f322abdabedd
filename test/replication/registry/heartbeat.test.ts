import { describe, expect, it } from 'vitest'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { maxBusyBlogs } from '../../../src/replication/protocol.ts'
import {
  decodeHeartbeat,
  type Heartbeat,
  signHeartbeat,
} from '../../../src/replication/registry/heartbeat.ts'
import { codeOf, fakeId, forge, must, peer, replica, startMs } from '../test-council.ts'

const beat: Heartbeat = {
  ...{ council: `blogs.example.org/${fakeId('5f')}`, replica: replica(1), atMs: startMs },
  ...{ freeBytes: 123_456_789_012, load: 250, roster: { seq: 4, id: fakeId('ab') } },
  names: { seq: 9, id: fakeId('cd') },
  mark: 'no-copies',
  busy: [
    { blog: 'maria' as BlogName, reads: 900 },
    { blog: 'ana' as BlogName, reads: 250 },
  ],
}
const good = signHeartbeat(peer(1), beat)
const tooMany = {
  ...beat,
  busy: Array.from({ length: maxBusyBlogs + 1 }, (_, n) => ({
    ...{ blog: `blog-${n}` as BlogName, reads: 900 },
  })),
}

describe('decodeHeartbeat', () => {
  const changed = (part: string | RegExp, by: string) => {
    const text = forge(good.text, part, by)
    return { text, signature: peer(1).sign(text) }
  }
  it.each([
    ['another text', changed('council-heartbeat', 'council-hello'), 'PEER_TEXT_FIRST_LINE'],
    ['a body', changed(/$/, '\n\nbody'), 'PEER_TEXT_BODY'],
    ['a missing roster', changed(/roster .*\n/, ''), 'HEADER_MISSING'],
    ['headers in another order', changed(/(roster .*)\n(names .*)/, '$2\n$1'), 'HEADER_ORDER'],
    ['a fraction', changed('load 250', 'load 0.25'), 'HEADER_VALUE'],
    ['negative room', changed(/free .*/, 'free -1'), 'HEADER_VALUE'],
    ['a time without a zone', changed(/\nat .*/, '\nat 2026-11-23T03:40:00'), 'HEADER_VALUE'],
    ['an unknown mark', changed('no-copies', 'full'), 'HEADER_VALUE'],
    ['a blog that cannot be one', changed('busy ana', 'busy A'), 'HEADER_VALUE'],
    ['reads that are no number', changed('ana 250', 'ana many'), 'HEADER_VALUE'],
    ['a blog without reads', changed('ana 250', 'ana'), 'HEADER_VALUE'],
    ['a blog named twice', changed('busy ana', 'busy maria'), 'HEARTBEAT_BUSY'],
    ['more blogs than it may name', signHeartbeat(peer(1), tooMany), 'HEARTBEAT_BUSY'],
    ['a signature by another peer', signHeartbeat(peer(2), beat), 'PEER_SIGNATURE'],
    [
      'a changed text',
      { ...good, text: forge(good.text, 'load 250', 'load 251') },
      'PEER_SIGNATURE',
    ],
  ])('refuses %s', (_, signed, code) => {
    expect(codeOf(decodeHeartbeat(signed))).toBe(code)
  })

  it('reads what a peer signed, with or without what may be left out', () => {
    expect(must(decodeHeartbeat(good))).toEqual(beat)
    const without = { ...beat, names: null, mark: null, busy: [] }
    expect(must(decodeHeartbeat(signHeartbeat(peer(1), without)))).toEqual(without)
  })
})
