import { describe, expect, it } from 'vitest'
import { confirmCouncil, type Meant } from '../../src/node/confirm-council.ts'
import {
  type FoundCouncil,
  lookAtCouncil,
  readFounding,
  whyNothing,
} from '../../src/node/look-at-council.ts'
import { ReplicationError } from '../../src/replication/errors.ts'
import type { Offer } from '../../src/replication/log/rules.ts'
import { peer, TestCouncil } from '../replication/test-council.ts'

const council = new TestCouncil().admit(0, 1)
const [founding, admitted] = council.rosterProofs as [Offer, Offer]
const other = new TestCouncil({ authority: peer(1) }).rosterProofs[0] as Offer

describe('readFounding', () => {
  const turned = (bytes: Uint8Array, at: number) =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
  it.each<[string, Offer]>([
    ['nothing', { text: new Uint8Array(), signature: new Uint8Array() }],
    ['no act', { ...founding, text: Buffer.from('council-entry 1\n') }],
    ['a later act', admitted],
    ['the first act of @names', council.namesProofs[0] as Offer],
    ['an altered text', { ...founding, text: turned(founding.text, founding.text.length - 3) }],
    ['an altered signature', { ...founding, signature: turned(founding.signature, 5) }],
    ['another authority’s signature', { ...founding, signature: other.signature }],
    ['no receipt of its holder', { ...founding, receipts: [] }],
    ['another council’s receipt', { ...founding, receipts: other.receipts ?? [] }],
  ])('refuses %s', async (_, offer) => {
    expect(await readFounding(offer)).toMatchObject({ ok: false })
  })

  it('says which council it is, and who founded it', async () => {
    expect(await readFounding(founding)).toEqual({
      ok: true,
      value: {
        council: council.council,
        authority: peer(0).peer,
        founded: '2026-11-23T03:40:01Z',
      },
    })
  })
})

describe('lookAtCouncil', () => {
  it.each(['/ip4/192.0.2.1/udp/4001', '/ip4/192.0.2.1', '/unix/x', '/', '/ip4/x/tcp/1'])(
    'dials nobody at %s',
    async (address) => {
      await expect(lookAtCouncil(address)).rejects.toMatchObject({ exit: 'usage' })
    },
  )
})

describe('whyNothing', () => {
  it('tells one that does not answer from one that refuses', () => {
    const why = (code: 'PEER_UNREACHABLE' | 'PEER_REFUSED') =>
      whyNothing('/ip4/192.0.2.1/tcp/4001', new ReplicationError(code, 'It says no.'))
    expect(why('PEER_UNREACHABLE')).toMatchObject({
      ...{ exit: 'unreachable' },
      message: 'No peer of a council answers at /ip4/192.0.2.1/tcp/4001: It says no.',
    })
    expect(why('PEER_REFUSED')).toMatchObject({
      ...{ exit: 'refused' },
      message:
        'The peer at /ip4/192.0.2.1/tcp/4001 does not say which council it is of: It says no.',
    })
  })
})

describe('confirmCouncil', () => {
  const id = council.council.slice(council.council.indexOf('/') + 1)
  const found: FoundCouncil = {
    ...{ council: council.council, bootstrap: 'council://found', peer: peer(1).peer },
    ...{ authority: peer(0).peer, founded: '2026-11-23T03:40:01Z' },
  }
  const address = '/ip4/192.0.2.1/tcp/4001'
  const run = async (meant: Partial<Meant>, answer: boolean | null = null) => {
    const said: string[] = []
    let asked = 0
    const io = {
      say: (line: string) => void said.push(line),
      confirm: async () => {
        asked++
        return answer
      },
    }
    const joined = await confirmCouncil({ join: address, ...meant }, io, async () => found).catch(
      (error: { exit: string }) => error.exit,
    )
    return { joined, asked, said: said.join('\n') }
  }

  it.each<[string, Partial<Meant>, boolean | null, string, number]>([
    ['what the operator says yes to', {}, true, 'council://found', 1],
    ['not what she says no to', {}, false, 'refused', 1],
    ['nothing where there is no terminal', {}, null, 'usage', 1],
    ['the council whose line is given', { council: council.council }, null, 'council://found', 0],
    ['the council whose id is given', { council: id }, null, 'council://found', 0],
    ['no other council', { council: `x.org/${id}` }, true, 'refused', 0],
    ['no other id', { council: '5f'.repeat(32) }, true, 'refused', 0],
    ['no other council whatever --yes says', { council: 'x', yes: true }, true, 'refused', 0],
    ['no council by an empty line', { council: '' }, true, 'refused', 0],
    ['whichever answers, when told so', { yes: true }, null, 'council://found', 0],
  ])('takes %s', async (_, meant, answer, joined, asked) => {
    const ran = await run(meant, answer)
    expect([ran.joined, ran.asked]).toEqual([joined, asked])
    for (const word of [found.council, found.authority, found.peer])
      expect(ran.said).toContain(word)
  })

  it('asks nobody about a whole address, but holds it against the council that is meant', async () => {
    const join = `council://${council.council}?peer=${address}/p2p/${peer(0).peer}`
    expect(await run({ join })).toEqual({ joined: join, asked: 0, said: '' })
    expect((await run({ join, council: id })).joined).toBe(join)
    expect((await run({ join, council: '5f'.repeat(32) })).joined).toBe('refused')
  })
})
