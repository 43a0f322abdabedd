import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Replica } from '../../../src/replication/log/peer-text.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import {
  type AssignFields,
  type Decision,
  decodeAct,
  type MemberRecord,
  type Role,
} from '../../../src/replication/registry/act.ts'
import { signAct } from '../../../src/replication/registry/sign-act.ts'
import {
  assignFields,
  fakeId,
  forge,
  member,
  must,
  peer,
  replica,
  startMs,
  TestCouncil,
} from '../test-council.ts'

const council = new TestCouncil().admit(1, 2, 3)
const text = (decision: Decision) => council.draft(decision).act.text
const first = council.rosterProofs[0]?.text as Uint8Array
const admit = text({
  kind: 'admit',
  policy: 'open',
  member: member(4, { dns: ['127.0.0.14 5300'] }),
})
const assign = text(assignFields())
const later = text(assignFields({ epoch: 2, ends: fakeId('ee'), via: null }))
const holders = text({ kind: 'holders', holders: [replica(0), replica(1), replica(2)] })

describe('decodeAct', () => {
  const line = (name: string, by: string, of = admit) =>
    forge(of, new RegExp(`\n${name} .*`), `\n${name} ${by}`)

  it.each<[string, Uint8Array, string, RegExp]>([
    ['an entry', forge(admit, 'council-act 1', 'council-entry 1'), 'ACT_FIRST_LINE', /no act/],
    [
      'another format',
      forge(admit, 'council-act 1', 'council-act 2'),
      'ACT_FIRST_LINE',
      /council-act 1/,
    ],
    ['no kind', forge(admit, 'kind admit\n', ''), 'ACT_KIND', /not known/],
    ['an unknown kind', line('kind', 'expel'), 'ACT_KIND', /"expel"/],
    ['a kind named like an object property', line('kind', 'toString'), 'ACT_KIND', /not known/],
    ['a missing header', forge(admit, /operator .*\n/, ''), 'HEADER_MISSING', /"operator"/],
    [
      'an unknown header',
      forge(admit, 'operator ', 'mood good\noperator '),
      'HEADER_UNKNOWN',
      /"mood"/,
    ],
    [
      'headers in another order',
      forge(admit, /(name .*\n)(store .*\n)/, '$2$1'),
      'HEADER_ORDER',
      /too late/,
    ],
    ['a repeated header', forge(admit, /(name .*\n)/, '$1$1'), 'HEADER_REPEATED', /"name"/],
    ['a council without its id', line('council', 'blogs.localhost'), 'HEADER_VALUE', /"council"/],
    [
      'entry 0 with a council id',
      line('council', council.council, first),
      'HEADER_VALUE',
      /DNS name/,
    ],
    [
      'entry 0 with a roster line',
      forge(first, 'edit ', `roster 0 ${fakeId('a')}\nedit `),
      'HEADER_UNKNOWN',
      /"roster"/,
    ],
    ['no roster line', forge(admit, /roster .*\n/, ''), 'HEADER_MISSING', /"roster"/],
    [
      'a roster line without an id',
      line('roster', '3'),
      'HEADER_VALUE',
      /a seq, a blank and an id/,
    ],
    ['another log', line('log', 'maria'), 'HEADER_VALUE', /@roster or @names/],
    ['an admission in @names', line('log', '@names'), 'ACT_LOG', /belongs in @roster/],
    ['an assignment in @roster', line('log', '@roster', assign), 'ACT_LOG', /belongs in @names/],
    ['no prev', forge(admit, /prev .*\n/, ''), 'ACT_PREV', /"prev"/],
    ['prev at seq 0', forge(first, 'kind ', `prev ${fakeId('a')}\nkind `), 'ACT_PREV', /number 0/],
    [
      'an admission as number 0',
      forge(admit, /seq .*\nprev .*\n/, 'seq 0\n'),
      'ACT_SEQ_KIND',
      /Number 0/,
    ],
    [
      'a council as number 1',
      forge(first, 'seq 0\n', `seq 1\nprev ${fakeId('a')}\n`),
      'ACT_SEQ_KIND',
      /no other/,
    ],
    [
      'a body where none belongs',
      Buffer.concat([admit, Buffer.from('\n\nbody')]),
      'ACT_BODY',
      /no body/,
    ],
    [
      'a revocation without its certificate',
      text({ kind: 'revoke', key: 'A'.repeat(40), certificate: 'x' }).subarray(0, -3),
      'ACT_BODY',
      /a body/,
    ],
    ['0 replicas wanted', line('replicas', '0', first), 'ACT_REPLICAS', /1 to 31/],
    ['32 replicas wanted', line('replicas', '32', first), 'ACT_REPLICAS', /1 to 31/],
    ['an unknown edit form', line('edit', 'none', first), 'HEADER_VALUE', /dotted or dashed/],
    [
      'a peer that is no Ed25519 key',
      line('peer', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG'),
      'HEADER_VALUE',
      /Ed25519/,
    ],
    [
      'a peer one character short',
      line('peer', peer(4).peer.slice(0, -1)),
      'HEADER_VALUE',
      /12D3Koo/,
    ],
    ['a name with a dot', line('name', 's.4'), 'HEADER_VALUE', /label/],
    ['roles in another order', line('roles', 'dns, spoke'), 'HEADER_VALUE', /in this order/],
    ['a role twice', line('roles', 'spoke, spoke'), 'HEADER_VALUE', /in this order/],
    ['an unknown role', line('roles', 'king'), 'HEADER_VALUE', /spoke, dns/],
    [
      'an address with a peer id',
      line('address', `/ip4/127.0.0.1/tcp/1/p2p/${peer(1).peer}`),
      'HEADER_VALUE',
      /address/,
    ],
    [
      'a web address by name',
      line('web', 'http://a.example.org:80'),
      'HEADER_VALUE',
      /an IP address/,
    ],
    [
      'a web address with a path',
      line('web', 'http://127.0.0.1:80/x'),
      'HEADER_VALUE',
      /an IP address/,
    ],
    [
      'a web address with port 65536',
      line('web', 'http://127.0.0.1:65536'),
      'HEADER_VALUE',
      /port/,
    ],
    ['a DNS address without a port', line('dns', '127.0.0.1'), 'HEADER_VALUE', /port/],
    [
      'a country in lower case',
      forge(admit, 'policy ', 'country es\npolicy '),
      'HEADER_VALUE',
      /upper-case/,
    ],
    ['an unknown policy', line('policy', 'never'), 'HEADER_VALUE', /open or approve or invite/],
    ['two holders', forge(holders, /holder .*\n/, ''), 'ACT_HOLDERS', /1, 3 or 5/],
    ['no holders', forge(holders, /\nholder .*/g, ''), 'ACT_HOLDERS', /1, 3 or 5/],
    [
      'a holder twice',
      forge(holders, /holder .*\nholder (.*)/, 'holder $1\nholder $1'),
      'ACT_HOLDERS',
      /each peer once/,
    ],
    ['a blog name that cannot be', line('blog', 'ab', assign), 'HEADER_VALUE', /3 to 30/],
    ['no replicas', forge(assign, /\nreplica .*/g, ''), 'ACT_REPLICAS', /1 to 31/],
    [
      'a replica twice',
      forge(assign, /replica .*\nreplica (.*)/, 'replica $1\nreplica $1'),
      'ACT_REPLICAS',
      /each peer once/,
    ],
    [
      'a replica without its store',
      line('replica', peer(1).peer, assign),
      'HEADER_VALUE',
      /store id/,
    ],
    [
      'a primary that is no replica',
      line('primary', peer(5).peer, assign),
      'ACT_PRIMARY',
      /not one of the replicas/,
    ],
    ['epoch 0', line('epoch', '0', assign), 'ACT_EPOCH', /count from 1/],
    ['epoch 1 that ends another', line('epoch', '1', later), 'ACT_EPOCH', /"ends"/],
    ['epoch 2 that ends none', line('epoch', '2', assign), 'ACT_EPOCH', /"ends"/],
    [
      'a first head that is not the genesis',
      line('head', `0 ${fakeId('bb')}`, assign),
      'ACT_HEAD',
      /genesis/,
    ],
    [
      'a first head beyond the genesis',
      line('head', `1 ${fakeId('1a')}`, assign),
      'ACT_HEAD',
      /genesis/,
    ],
    [
      'what decodeText refuses',
      Buffer.concat([admit, Buffer.from('\n')]),
      'TEXT_ENDS_IN_LINE_FEED',
      /newline/,
    ],
  ])('refuses %s', (_, bytes, code, sentence) => {
    const act = decodeAct(bytes)
    expect(act).toMatchObject({ ok: false, code })
    expect(act.ok ? '' : act.reason).toMatch(sentence)
  })

  it('names the council of entry 0 by its zone and its own id', () => {
    const act = must(decodeAct(first))
    expect(act).toMatchObject({
      council: `blogs.localhost/${idOf(first)}`,
      roster: null,
      prev: null,
    })
  })

  it('never throws', () => {
    const headers = ['council-act 1', 'kind assign', 'seq 0', 'log @names', 'roster 1 x', '', 'a b']
    const texts = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.constantFrom(...headers)).map((each) => Buffer.from(each.join('\n'))),
    )
    fc.assert(
      fc.property(texts, (bytes) => {
        expect(decodeAct(bytes).ok).toBe(false)
      }),
    )
  })
})

describe('signAct', () => {
  const id = fc.stringMatching(/^[0-9a-f]{64}$/) as fc.Arbitrary<ReturnType<typeof fakeId>>
  const plain = fc.stringMatching(/^[!-~]([ -~]{0,38}[!-~])?$/)
  const anyPeer = fc.nat(9).map((n) => peer(n).peer)
  const anyReplica = fc.nat(9).map(replica)
  const distinct = (lengths: number[]): fc.Arbitrary<Replica[]> =>
    fc.constantFrom(...lengths).chain((length) =>
      fc.uniqueArray(anyReplica, {
        minLength: length,
        maxLength: length,
        selector: (r) => r.peer,
      }),
    )
  const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value)
  const fingerprint = fc.stringMatching(/^[0-9A-F]{40}$/)
  const body = fc.array(plain, { minLength: 1, maxLength: 3 }).map((lines) => lines.join('\n\n'))
  const head = fc.record({ seq: fc.nat(), id })
  const blog = fc.stringMatching(/^[a-z]{3,30}$/) as fc.Arbitrary<AssignFields['blog']>
  const port = fc.integer({ min: 1, max: 65_535 })
  const record: fc.Arbitrary<MemberRecord> = fc
    .record({
      n: fc.nat(9),
      name: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/),
      roles: fc.subarray<Role>(['spoke', 'dns', 'authority', 'aggregator'], { minLength: 1 }),
      addresses: fc.array(fc.tuple(fc.ipV4(), port).map(([ip, p]) => `/ip4/${ip}/tcp/${p}`)),
      web: fc.array(fc.tuple(fc.ipV4(), port).map(([ip, p]) => `http://${ip}:${p}`)),
      dns: fc.array(fc.tuple(fc.ipV6(), port).map(([ip, p]) => `${ip} ${p}`)),
      operator: plain,
      network: maybe(plain),
      country: maybe(fc.stringMatching(/^[A-Z]{2}$/)),
    })
    .map(({ n, ...rest }) => ({ peer: peer(n).peer, store: replica(n).store, ...rest }))
  const decisions: fc.Arbitrary<Decision> = fc.oneof(
    fc.record({
      kind: fc.constant('admit' as const),
      member: record,
      policy: fc.constantFrom('open', 'approve', 'invite'),
    }),
    fc.record({ kind: fc.constant('change' as const), member: record }),
    fc.record({
      kind: fc.constantFrom('away', 'back', 'cutoff', 'reinstate'),
      peer: anyPeer,
      reason: plain,
      evidence: maybe(body),
    }),
    fc.record({ kind: fc.constant('holders' as const), holders: distinct([1, 3, 5]) }),
    fc.record({
      kind: fc.constant('authority' as const),
      authority: anyPeer,
      standby: maybe(anyPeer),
      votes: maybe(body),
    }),
    fc.record({ kind: fc.constant('revoke' as const), key: fingerprint, certificate: body }),
    fc.record({
      kind: fc.constant('loss' as const),
      blog,
      assign: id,
      reason: plain,
      evidence: body,
    }),
    fc
      .record({
        ...{ kind: fc.constant('assign' as const), blog, genesis: id, key: fingerprint },
        ...{ epoch: fc.integer({ min: 1, max: 9 }), ends: id, replicas: distinct([1, 2, 3, 7]) },
        ...{ head, via: maybe(anyPeer), reason: plain, unmet: maybe(plain), evidence: maybe(body) },
      })
      .map((given) => ({
        ...given,
        primary: (given.replicas[0] as Replica).peer,
        ends: given.epoch === 1 ? null : given.ends,
        head: given.epoch === 1 ? { seq: 0, id: given.genesis } : given.head,
      })),
  )

  it('writes every decision so that it reads back, signed', () => {
    fc.assert(
      fc.property(decisions, head, head, (decision, before, roster) => {
        const log = ['assign', 'revoke', 'loss'].includes(decision.kind) ? '@names' : '@roster'
        const at = { council: council.council, log, head: before, roster, dateMs: startMs }
        const { act, signed } = must(signAct(peer(0), at, decision))
        expect(decodeAct(signed.text)).toEqual({ ok: true, value: act })
        expect(act).toMatchObject({ log, seq: before.seq + 1, prev: before.id, roster, decision })
        expect(signed.signature).toHaveLength(64)
      }),
      { numRuns: 200 },
    )
  })

  it('signs nothing that a peer would refuse', () => {
    const at = {
      council: council.council,
      log: '@roster',
      head: council.roster.head,
      roster: null,
      dateMs: startMs,
    }
    const admission: Decision = {
      kind: 'admit',
      policy: 'open',
      member: member(4, { operator: 'x\ny' }),
    }
    expect(signAct(peer(0), at, admission)).toMatchObject({ ok: false })
  })
})
