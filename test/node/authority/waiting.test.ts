import { describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import {
  forgottenMs,
  hostGroup,
  maxRefused,
  maxWaiting,
  maxWaitingPerHost,
  maxWaitingPerMember,
  planPlace,
  quietMs,
  type Waiting,
  WaitingList,
} from '../../../src/node/authority/waiting.ts'
import { type JoinRequest, signJoin } from '../../../src/replication/registry/join-request.ts'
import {
  codeOf,
  fakeId,
  member,
  must,
  peer,
  startMs,
  TestDisk,
} from '../../replication/test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const direct = (host: string) => ({ host, via: null })

/** A request without a real signature: the decision looks at none. */
function waits(
  name: string,
  host: string,
  {
    via = null,
    sinceMs = startMs,
    askedMs = startMs,
  }: Partial<{
    via: PeerName | null
    sinceMs: number
    askedMs: number
  }> = {},
): Waiting {
  const record = { ...member(1), peer: name as PeerName, name }
  const request = { council, member: record, atMs: startMs, invite: null }
  const signed = { text: new Uint8Array(), signature: new Uint8Array() }
  return { request, signed, origin: { host, via }, sinceMs, askedMs, refused: null }
}
const many = (count: number, each: (index: number) => Waiting) =>
  Array.from({ length: count }, (_, index) => each(index))
const place = (
  waiting: readonly Waiting[],
  host: string,
  via: PeerName | null = null,
  nowMs = startMs,
) => {
  const verdict = planPlace(waiting, { host, via }, nowMs)
  return verdict.ok ? verdict.value : verdict.code
}

describe('hostGroup', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    [null, 'unknown'],
  ])('takes %s for %s', (host, group) => {
    expect(hostGroup(host)).toBe(group)
  })
})

describe('planPlace', () => {
  it('has room for eight peers of one host, however many addresses it takes', () => {
    const seven = many(maxWaitingPerHost - 1, (n) => waits(`p${n}`, `2001:db8::${n}`))
    expect(place(seven, '2001:db8::99')).toBeNull()
    const eight = [...seven, waits('p7', '2001:db8::7')]
    expect(place(eight, '2001:db8::99')).toBe('JOIN_QUEUE_FULL')
    expect(place(eight, '2001:db8:0:1::99')).toBeNull()
  })

  it('has room for fifty peers that one member passed on, whatever hosts it names', () => {
    const via = peer(2).peer
    const fifty = many(maxWaitingPerMember, (n) => waits(`p${n}`, `192.0.2.${n}`, { via }))
    expect(place(fifty, '198.51.100.1', via)).toBe('JOIN_QUEUE_FULL')
    expect(place(fifty, '198.51.100.1', peer(3).peer)).toBeNull()
    expect(place(fifty, '198.51.100.1')).toBeNull()
  })

  it('lets a peer that no longer asks make room', () => {
    const eight = many(maxWaitingPerHost, (n) =>
      waits(`p${n}`, '192.0.2.1', { askedMs: startMs + n }),
    )
    expect(place(eight, '192.0.2.1', null, startMs + quietMs)).toBe('JOIN_QUEUE_FULL')
    expect(place(eight, '192.0.2.1', null, startMs + quietMs + 1)).toBe('p0')
  })

  it('lets a flood of few hosts make room for a host that has none waiting', () => {
    const flood = many(maxWaiting, (n) =>
      waits(`p${n}`, `192.0.2.${Math.floor(n / maxWaitingPerHost)}`, { sinceMs: startMs + n }),
    )
    const out = place(flood, '198.51.100.1')
    expect(out).toBe(`p${maxWaitingPerHost - 1}`)
  })

  it('never lets the one request of a host make room while another host has more', () => {
    const honest = waits('honest', '198.51.100.1', { sinceMs: startMs + 1_000 })
    let waiting = [honest, ...many(maxWaiting - 1, (n) => waits(`p${n}`, `192.0.2.${n >> 3}`))]
    for (let n = 0; n < 400; n++) {
      const host = `203.0.${n >> 8}.${n & 255}`
      const out = planPlace(waiting, direct(host), startMs)
      if (!out.ok) break
      waiting = waiting.filter(({ request }) => request.member.peer !== out.value)
      waiting.push(waits(`q${n}`, host, { sinceMs: startMs + 2_000 + n }))
    }
    expect(waiting).toContain(honest)
    expect(waiting).toHaveLength(maxWaiting)
  })

  it('refuses a newcomer when each host has one place and all go on asking', () => {
    const all = many(maxWaiting, (n) => waits(`p${n}`, `192.0.${n >> 8}.${n & 255}`))
    expect(place(all, '198.51.100.1')).toBe('JOIN_QUEUE_FULL')
    expect(place(all, '198.51.100.1', null, startMs + quietMs + 1)).toBe('p0')
  })
})

describe('WaitingList', () => {
  const request = (n: number, change: Partial<JoinRequest> = {}): JoinRequest => ({
    ...{ council, member: member(n), atMs: startMs, invite: null },
    ...change,
  })
  const ask = (list: WaitingList, asked: JoinRequest, nowMs = startMs, host = '192.0.2.1') => {
    const signer = [1, 2, 3].map(peer).find((each) => each.peer === asked.member.peer)
    return list.ask(asked, signJoin(signer ?? peer(1), asked), direct(host), nowMs)
  }

  it('still has who waits, and who was refused, after a restart', async () => {
    const disk = new TestDisk()
    const list = new WaitingList(disk.store)
    must(await ask(list, request(1)))
    must(await ask(list, request(2), startMs + 1_000))
    await list.refuse(peer(2).peer, 'Who are you?', startMs + 2_000)

    const again = new WaitingList(disk.store)
    await again.load(startMs + 9_000)
    expect(again.all()).toMatchObject([
      { request: request(1), sinceMs: startMs, askedMs: startMs + 9_000, refused: null },
      { request: request(2), refused: { reason: 'Who are you?', atMs: startMs + 2_000 } },
    ])
  })

  it('keeps the newest record of who asks again, on disk too, and since when it asks', async () => {
    const disk = new TestDisk()
    const list = new WaitingList(disk.store)
    must(await ask(list, request(1)))
    const moved = request(1, { member: member(1, { web: [] }), atMs: startMs + 30_000 })
    must(await ask(list, moved, startMs + 30_000, '192.0.2.99'))
    const again = new WaitingList(disk.store)
    await again.load(startMs + 60_000)
    expect(again.all()).toMatchObject([
      { request: moved, sinceMs: startMs, origin: direct('192.0.2.1') },
    ])
  })

  it('writes nothing for a peer that only asks again', async () => {
    const disk = new TestDisk()
    const list = new WaitingList(disk.store)
    must(await ask(list, request(1)))
    disk.fails = true
    must(await ask(list, request(1, { atMs: startMs + 30_000 }), startMs + 30_000))
    expect(list.get(peer(1).peer)).toMatchObject({ askedMs: startMs + 30_000 })
  })

  it('forgets, on disk too, who was admitted and who has not asked for a week', async () => {
    const disk = new TestDisk()
    const list = new WaitingList(disk.store)
    must(await ask(list, request(1)))
    must(await ask(list, request(2)))
    await list.remove(peer(1).peer)
    must(await ask(list, request(3), startMs + forgottenMs + 1))
    expect(list.all().map((each) => each.request.member.name)).toEqual(['s3'])
    expect(await disk.rows()).toHaveLength(1)
  })

  it('remembers two hundred refused peers, and takes no place from others for them', async () => {
    const list = new WaitingList(new TestDisk().store)
    for (let n = 0; n <= maxRefused; n++) {
      const record = { ...member(1), peer: `p${n}` as PeerName }
      must(await ask(list, request(1, { member: record }), startMs + n))
      await list.refuse(record.peer, 'no', startMs + n)
    }
    expect(list.all()).toHaveLength(maxRefused)
    expect(list.get('p0' as PeerName)).toBeNull()
    expect(codeOf(await ask(list, request(2)))).toBe('accepted')
  })
})
