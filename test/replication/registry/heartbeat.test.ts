import { describe, expect, it } from 'vitest'
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
}
const good = signHeartbeat(peer(1), beat)

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
    ['a signature by another peer', signHeartbeat(peer(2), beat), 'PEER_SIGNATURE'],
    [
      'a changed text',
      { ...good, text: forge(good.text, 'load 250', 'load 251') },
      'PEER_SIGNATURE',
    ],
  ])('refuses %s', (_, signed, code) => {
    expect(codeOf(decodeHeartbeat(signed))).toBe(code)
  })

  it('reads what a peer signed, with or without @names', () => {
    expect(must(decodeHeartbeat(good))).toEqual(beat)
    const without = { ...beat, names: null }
    expect(must(decodeHeartbeat(signHeartbeat(peer(1), without)))).toEqual(without)
  })
})
