import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accept, refuse, type Verdict } from '../../src/auth/verdict.ts'
import type { OrderedMove } from '../../src/replication/exchange/orders.ts'
import type { EntryId } from '../../src/replication/log/text.ts'
import { decodeOrder, type MoveOrder } from '../../src/replication/registry/order.ts'
import { moveState } from '../../src/web/copies-page.ts'
import type { Copies, WebSpoke } from '../../src/web/spoke.ts'
import { fakeId, must, peer, replica, TestCouncil } from '../replication/test-council.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'
import { host } from './browser.ts'
import { logOf, openLog } from './memory-spoke.ts'
import { decodeHtml, spokeWithDoor, Visitor } from './visitor.ts'

const edit = host('edit.maria')
const spokeHost = host('b.spoke')

/** Replicas s1 (leads), s2, s3; those that are given have receipts under the act. */
const copiesBy = (epoch: number, lead: number, given: readonly number[]): Copies => ({
  ...{ act: fakeId('ac'), epoch, needed: 2 },
  replicas: [1, 2, 3].map((n) => ({
    ...{ ...replica(n), spoke: `s${n}`, isPrimary: n === lead },
    receipt: given.includes(n)
      ? {
          ...{ seq: 0, sinceMs: 0, atMs: 0 },
          signed: { text: new Uint8Array(), signature: new Uint8Array() },
        }
      : null,
  })),
})

describe('moveState', () => {
  const ordered = { epoch: 4, to: peer(2).peer }
  it.each([
    ['waits', 'the epoch is the same', copiesBy(4, 1, [1, 2, 3])],
    ['kept', 'it led when the order was made', copiesBy(4, 2, [1, 2, 3])],
    ['waits', 'another act came between', copiesBy(5, 1, [1, 2, 3])],
    ['led', 'it leads, and too few follow', copiesBy(5, 2, [2])],
    ['done', 'it leads, and enough follow', copiesBy(5, 2, [2, 3])],
    ['done', 'it leads two acts later', copiesBy(6, 2, [1, 2])],
    ['done', 'it is the only one', { ...copiesBy(5, 2, [2]), needed: null }],
  ])('%s: %s', (state, _, copies) => {
    expect(moveState(copies, ordered)).toBe(state)
  })
})

describe.skipIf(!has('gpg'))('the page of copies', () => {
  const gpg = new GpgHome()
  let key: string
  beforeAll(() => {
    key = gpg.makeKey('Maria <maria@example.org>', 'ed25519')
    gpg.addSubkey(key, 'cv25519', 'encr')
  })
  afterAll(() => gpg[Symbol.dispose]())

  const council = new TestCouncil().admit(1, 2, 3, 4, 5)
  const about = { reason: 'it lied', evidence: null }
  council.write({ kind: 'cutoff', peer: peer(5).peer, ...about })
  const move: OrderedMove = {
    ...{ blog: 'maria', epoch: 4, from: 's1', to: 's4', isDone: false },
    ...{ replicas: ['s4', 's2', 's3'], learners: ['s4'] },
  }

  /** The author of maria on the page, logged in. */
  async function author(answer: Verdict<OrderedMove> = accept(move), more: Partial<WebSpoke> = {}) {
    const taken: { order: MoveOrder; signature: string }[] = []
    let copies = copiesBy(4, 1, [1, 2, 3])
    const [first, ...rest] = logOf('maria', { kind: 'profile', title: 'Maria', key })
    const open = openLog([{ ...first, key } as typeof first, ...rest], { copies: () => copies })
    const spoke = await spokeWithDoor(
      { maria: open },
      {
        roster: () => council.roster,
        order: async (text, signature) => {
          taken.push({ order: must(decodeOrder(text)), signature })
          return answer
        },
        ...more,
      },
    )
    const visitor = new Visitor(spoke)
    await visitor.open(`${spokeHost}/login`)
    const page = await visitor.send('/login', { who: gpg.exportKey(key) })
    const message = /<code>(-----BEGIN PGP MESSAGE[\s\S]*?)<\/code>/.exec(page.html)?.[1] ?? ''
    const { stdout } = gpg.run(['-qd'], { input: decodeHtml(message) })
    await visitor.send('/login/answer', { answer: /^code: (.*)$/m.exec(stdout)?.[1] ?? '' })
    await visitor.open(`${spokeHost}/enter?blog=maria&to=/copies`)
    const set = (next: Copies) => {
      copies = next
    }
    return { visitor, taken, set }
  }
  const toSign = (html: string) =>
    decodeHtml(/<code>(council-order 1[\s\S]*?)<\/code>/.exec(html)?.[1] ?? '')
  const options = (html: string) =>
    [...html.matchAll(/<option value="([^"]*)">([^<]*)</g)].map(([, value, words]) => [
      value,
      words,
    ])

  it('offers every spoke but the one that leads and those that cannot', async () => {
    const { visitor } = await author()
    const { html } = visitor.page ?? { html: '' }
    expect(options(html)).toEqual([
      ['s2', 's2, run by operator 2, keeps a copy'],
      ['s3', 's3, run by operator 3, keeps a copy'],
      ['s4', 's4, run by operator 4'],
    ])
  })

  it('shows the exact text, takes what gpg signed, and follows the move until it is done', async () => {
    const { visitor, taken, set } = await author()
    const page = await visitor.send('/copies', { spoke: 's4' })
    const text = toSign(page.html)
    expect(must(decodeOrder(Buffer.from(text)))).toMatchObject({
      ...{ blog: 'maria', act: fakeId('ac') as EntryId, epoch: 4, key },
      ...{ primary: peer(4).peer, spoke: 's4' },
    })
    // Three ways: what is pasted is clear-signed or detached; the line shows it first.
    expect(page.words).toContain('--armor --output - --detach-sign order.txt')
    expect(page.words).toContain('--clearsign')
    expect(page.words).toContain('read -r _')
    const done = await visitor.send('/sign', { signed: gpg.sign(text, key, 'clear') })
    expect(taken.map(({ order }) => Buffer.from(order.text).toString())).toEqual([text])
    expect(gpg.verify(text, taken[0]?.signature ?? '').stdout).toContain(`VALIDSIG ${key}`)
    expect(done.url).toBe(`${edit}/copies?moves=4&to=${peer(4).peer}`)
    expect(done.words).toContain('The order is taken. s4 copies what it lacks')
    expect(done.headers.get('refresh')).toBe('2')
    // Who waits may take it back.
    expect(options(done.html)[0]).toEqual([
      's1',
      's1, run by operator 1, leads now: takes the order back',
    ])
    const back = await visitor.send('/copies', { spoke: 's1' })
    const kept = await visitor.send('/sign', { signed: gpg.sign(toSign(back.html), key) })
    expect(kept.words).toContain('Nothing is moved. s1 goes on taking what you write.')
    set({
      ...copiesBy(5, 0, [2, 3]),
      replicas: [
        { ...replica(4), spoke: 's4', isPrimary: true, receipt: null },
        ...copiesBy(5, 0, [2, 3]).replicas.slice(1),
      ],
    })
    const moved = await visitor.open(done.url)
    expect(moved.words).toContain('Moved. s4 takes what you write, since epoch 5.')
    expect(moved.headers.get('refresh')).toBeNull()
  })

  it('takes the signature by the one line from a terminal, and the tab that waits goes on', async () => {
    const { visitor, taken } = await author()
    const page = await visitor.send('/copies', { spoke: 's2' })
    const token = /\/sign\/wait\?t=([0-9a-f]{32})/.exec(page.html)?.[1] ?? ''
    const wait = `${edit}/sign/wait?t=${token}`
    expect((await visitor.open(wait)).words).toContain('looks again by itself')
    const terminal = new Visitor(await spokeWithDoor({}))
    expect((await terminal.open(`${spokeHost}/sign/${token}.txt`)).status).toBe(404)
    const file = await visitor.open(`${spokeHost}/sign/${token}.txt`)
    const sent = await visitor.open(`${spokeHost}/sign/${token}`, {
      method: 'POST',
      body: gpg.sign(file.html, key),
    })
    expect([sent.status, sent.html]).toEqual([
      202,
      'The order is taken: maria moves from s1 to s4. s4 copies it first.\n',
    ])
    expect(taken).toHaveLength(1)
    expect((await visitor.open(wait)).url).toBe(`${edit}/copies?moves=4&to=${peer(2).peer}`)
  })

  it('shows a refusal above the same text, with what was pasted', async () => {
    const { visitor } = await author(refuse('MOVE_TOO_FEW', 'Too few live copies would be left.'))
    const { html } = await visitor.send('/copies', { spoke: 's4' })
    const signed = gpg.sign(toSign(html), key)
    const page = await visitor.send('/sign', { signed })
    expect(page.status).toBe(409)
    expect(page.words).toContain('Too few live copies would be left.')
    expect(toSign(page.html)).toBe(toSign(html))
    expect(visitor.form('/sign').fields.signed?.trim()).toBe(signed.trim())
  })

  it.each([
    ['a spoke that is cut off', { spoke: 's5' }, 404],
    ['no spoke at all', { spoke: '"><script>alert(1)</script>' }, 404],
    ['a form of another page', { spoke: 's4', token: 'x' }, 403],
  ])('prepares nothing to be signed for %s', async (_, fields, status) => {
    const { visitor, taken } = await author()
    const page = await visitor.send('/copies', fields)
    expect(page.status).toBe(status)
    expect(toSign(page.html)).toBe('')
    expect(taken).toEqual([])
  })

  it('is for the author alone, and says when there is nowhere to go', async () => {
    const lonely = new TestCouncil().admit(1)
    const { visitor } = await author(accept(move), { roster: () => lonely.roster })
    expect(visitor.page?.words).toContain('There is no other server in this council now')
    const stranger = new Visitor(await spokeWithDoor({ maria: openLog(logOf('maria')) }))
    expect((await stranger.open(`${edit}/copies`)).words).not.toContain('Go on to sign')
  })
})
