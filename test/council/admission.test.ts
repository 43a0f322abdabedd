import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rosterLog } from '../../src/replication/log/log.ts'
import { decodeAct } from '../../src/replication/registry/act.ts'
import { operate } from '../support/command.ts'
import { soon, startCouncil, type TestCouncil } from '../support/council.ts'

type Waiting = { name: string; peer: string; since: string; via: string | null; refused: unknown }

const at = (council: TestCouncil) => ['--config', council.authority.config]
const run = (council: TestCouncil, ...args: string[]) => operate(...args, ...at(council))

async function waiting(council: TestCouncil): Promise<Waiting[]> {
  const { exit, out } = await run(council, 'admit', '--json')
  expect(exit).toBe(0)
  return JSON.parse(out[0] as string).waiting
}

/** The acts about a peer, as `<kind>` or `admit <policy>`. */
async function actsAbout(council: TestCouncil, name: string): Promise<string[]> {
  const proofs = await council.authority.exchange.council.proofs(rosterLog, 0, 1_000)
  return proofs.flatMap(({ text }) => {
    const act = decodeAct(text)
    if (!act.ok) return []
    const { decision } = act.value
    if (decision.kind !== 'admit' && decision.kind !== 'change') return []
    if (decision.member.name !== name) return []
    return decision.kind === 'admit' ? [`admit ${decision.policy}`] : ['change']
  })
}

describe('a council whose operator approves of newcomers', () => {
  let council: TestCouncil

  beforeAll(async () => {
    council = await startCouncil({ spokes: 1, admission: 'approve' })
  })
  afterAll(() => council?.[Symbol.asyncDispose]())

  it('admits its own authority, and lets nobody wait yet', async () => {
    expect(await actsAbout(council, 'a')).toEqual(['admit approve'])
    expect(await run(council, 'admit')).toEqual({ exit: 0, out: [], err: 'Nobody waits.\n' })
  })

  it('lets a newcomer wait, over a restart of the authority, until it is admitted', async () => {
    const joining = council.join('b')
    await soon(async () => expect(await waiting(council)).toHaveLength(1))
    const [asked] = await waiting(council)
    expect(asked).toMatchObject({
      ...{ name: 'b', operator: 'Group b', roles: ['spoke'], network: null, country: null },
      ...{ host: '127.0.0.1', via: null, refused: null },
      peer: expect.stringMatching(/^12D3Koo/),
      addresses: [expect.stringContaining('/ip4/127.0.0.1/tcp/')],
      since: expect.stringMatching(/Z$/),
    })
    expect(council.peer('b').isRunning).toBe(false)

    await council.authority.stop()
    await council.authority.start()
    expect(await waiting(council)).toMatchObject([{ name: 'b', since: asked?.since }])

    const { out, err } = await run(council, 'admit')
    expect(out.join('\n')).toContain('b, run by Group b')
    expect(out.join('\n')).toContain(`  peer       ${asked?.peer}`)
    expect(err).toContain('compare the peer id')
    const dry = await run(council, 'admit', 'b', '--dry-run')
    expect([dry.exit, dry.err]).toEqual([0, expect.stringContaining('would admit b (12D3Koo')])
    expect(await actsAbout(council, 'b')).toEqual([])

    const admitted = await run(council, 'admit', 'b')
    expect([admitted.exit, admitted.err]).toEqual([0, expect.stringContaining('admitted b (')])
    expect(admitted.err).toContain('answers     http://127.0.0.1:')
    await joining
    expect(await actsAbout(council, 'b')).toEqual(['admit approve'])
    expect(await waiting(council)).toEqual([])
    await council.ready()
  })

  it('lets a member change its record without approval', async () => {
    const b = council.peer('b')
    await b.stop()
    // Another store is another record.
    await rm(join(b.folder, 'data/store'), { recursive: true })
    await b.start()
    await soon(async () =>
      expect(await actsAbout(council, 'b')).toEqual(['admit approve', 'change']),
    )
    expect(await waiting(council)).toEqual([])
  })

  it('tells a newcomer that a member passed on why it was refused, and admits it later', async () => {
    const joining = council.join('c', council.peer('b').line.bootstrap)
    await soon(async () => {
      expect(await waiting(council)).toMatchObject([{ name: 'c', via: 'b', host: '127.0.0.1' }])
    })
    const [{ peer }] = (await waiting(council)) as [Waiting]
    const reason = 'We do not know you: write to us first.'
    const refuse = ['admit', peer, '--refuse', '--reason', reason]
    expect((await run(council, ...refuse, '--dry-run')).err).toContain('would refuse c')
    expect(await waiting(council)).toMatchObject([{ refused: null }])
    expect((await run(council, ...refuse)).exit).toBe(0)
    await expect(joining).rejects.toThrow(`The authority's operator refused this peer: ${reason}`)
    expect(await waiting(council)).toMatchObject([{ name: 'c', refused: { reason } }])

    const later = await run(council, 'admit', 'c')
    expect([later.exit, later.err]).toEqual([0, expect.stringContaining('no answer')])
    await council.peer('c').start()
    expect((await actsAbout(council, 'c'))[0]).toBe('admit approve')
  })

  it('lets more newcomers wait than strangers may be connected at once', async () => {
    const names = ['e', 'f', 'g', 'h', 'i', 'j']
    const joining = Promise.all(names.map((name) => council.join(name)))
    const listed = async () => (await waiting(council)).map(({ name }) => name)
    // Sooner than the 30 s for which a stranger may stay: who waits has left its place to the next.
    await soon(async () => expect(new Set(await listed())).toEqual(new Set(names)))
    for (const name of names) expect((await run(council, 'admit', name)).exit).toBe(0)
    await joining
  })

  it('admits whoever has an invitation at once', async () => {
    const { out } = await run(council, 'invite', '--json')
    await council.join('d', JSON.parse(out[0] as string).bootstrap)
    expect(await actsAbout(council, 'd')).toEqual(['admit invite'])
  })

  it.each<[string, string[], number, string]>([
    ['nobody of that name', ['admit', 'nobody'], 1, 'No peer called nobody waits.'],
    [
      'a member',
      ['admit', 'b'],
      1,
      'b is in @roster already: it was admitted. To end that: ./council cutoff',
    ],
    ['a refusal without reason', ['admit', 'c', '--refuse'], 2, '--reason'],
    ['a reason without refusal', ['admit', 'c', '--reason', 'x'], 2, '--refuse'],
    ['a reason of two lines', ['admit', 'c', '--refuse', '--reason', 'x\ny'], 2, 'one plain line'],
    ['a refusal of nobody', ['admit', '--refuse', '--reason', 'x'], 2, 'Say which peer'],
    ['no uses', ['invite', '--uses', '0'], 2, 'want 1 to 1000'],
    ['too many hours', ['invite', '--hours', '9000'], 2, 'want 1 to 8760'],
    ['two wishes', ['invite', '--list', '--uses', '2'], 2, 'Either make'],
    ['an unknown invitation', ['invite', '--revoke', 'nothing'], 1, 'no invitation nothing'],
    ['a note of two lines', ['invite', '--note', 'a\nb'], 2, 'one plain line'],
  ])('says what is wrong with %s', async (_, args, exit, words) => {
    const ran = await run(council, ...args)
    expect([ran.exit, ran.out, ran.err]).toEqual([exit, [], expect.stringContaining(words)])
  })

  it('lets other peers neither admit nor invite', async () => {
    for (const command of ['admit', 'invite']) {
      const ran = await operate(command, '--config', council.peer('b').config)
      expect([ran.exit, ran.err]).toEqual([
        2,
        expect.stringContaining("not the council's authority"),
      ])
    }
  })

  it('says how a peer is doing', async () => {
    await soon(async () => {
      const { exit, out } = await run(council, 'status')
      expect(exit).toBe(0)
      expect(out.join('\n')).toContain('policy approve, 0 waiting')
      expect(out.join('\n')).toMatch(/peer +b \(spoke\): connected/)
      // On one address, each has a port of its own; readers come to that of the authority.
      expect(out.join('\n')).toMatch(
        /PORT +b serves its pages at port \d+, and readers .* port \d+:/,
      )
      expect(out.join('\n')).not.toMatch(/PORT +a/)
    })
    const { out: json } = await operate('status', '--json', '--config', council.peer('b').config)
    expect(JSON.parse(json[0] as string)).toMatchObject({ name: 'b', member: true, pending: null })
  })
})

describe('a council that admits by invitation', () => {
  let council: TestCouncil
  let first: { id: string; bootstrap: string }
  const secretOf = (bootstrap: string) => bootstrap.slice(bootstrap.indexOf('&invite='))

  async function invite(...options: string[]): Promise<typeof first> {
    const { exit, out } = await run(council, 'invite', '--json', ...options)
    expect(exit).toBe(0)
    return JSON.parse(out[0] as string)
  }

  beforeAll(async () => {
    council = await startCouncil({ spokes: 1, admission: 'invite' })
  })
  afterAll(() => council?.[Symbol.asyncDispose]())

  it('refuses a newcomer without an invitation, and lets nobody wait', async () => {
    await expect(council.join('nobody')).rejects.toThrow('by invitation only')
    expect(await waiting(council)).toEqual([])
  })

  it('prints the whole line to join with', async () => {
    const { exit, out, err } = await run(council, 'invite', '--note', 'for Zoe', '--hours', '1')
    expect(exit).toBe(0)
    expect(out).toEqual([
      `./council init --join '${council.authority.line.bootstrap}${secretOf(out[0] as string).split("'")[0]}' --name <label>`,
    ])
    expect(out[0]).toMatch(/&invite=[\w-]{43}' /)
    expect(err).toMatch(/\(for Zoe\): good, used 0 of 1, until 2.*Z\./)
  })

  it('admits one newcomer with it, and not a second', async () => {
    first = await invite()
    await council.join('b', first.bootstrap)
    expect(await actsAbout(council, 'b')).toEqual(['admit invite'])
    await expect(council.join('late', first.bootstrap)).rejects.toThrow('used already')
    const { out } = await run(council, 'invite', '--list')
    expect(out.join('\n')).toMatch(
      new RegExp(`^${first.id}: used, used 1 of 1.*\n {2}used by b, `, 'm'),
    )
  })

  it('admits by way of another member, as many as it was made for', async () => {
    const { bootstrap } = await invite('--uses', '2')
    const byB = council.peer('b').line.bootstrap + secretOf(bootstrap)
    await Promise.all(['c', 'd'].map((name) => council.join(name, byB)))
    expect(await actsAbout(council, 'c')).toEqual(['admit invite'])
    await expect(council.join('third', byB)).rejects.toThrow('used already')
  })

  it('refuses one that was revoked, and one that nobody made', async () => {
    const { id, bootstrap } = await invite()
    expect((await run(council, 'invite', '--revoke', id)).err).toContain(`revoked ${id}: revoked`)
    await expect(council.join('revoked', bootstrap)).rejects.toThrow('was revoked')
    const guess = `${council.authority.line.bootstrap}&invite=${randomBytes(32).toString('base64url')}`
    await expect(council.join('guess', guess)).rejects.toThrow('does not know this invitation')
  })

  it('knows after a restart which were used', async () => {
    await council.authority.stop()
    await council.authority.start()
    await expect(council.join('again', first.bootstrap)).rejects.toThrow('used already')
  })
})
