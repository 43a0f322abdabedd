import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asBrowser } from '../support/as-browser.ts'
import { makeSigner, type Signer, signEntry, submissionOf } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'

let council: TestCouncil
let signer: Signer
let blog: TestBlog
let primary: TestPeer
let other: TestPeer

beforeAll(async () => {
  council = await startCouncil({ spokes: 3 })
  signer = await makeSigner()
  primary = council.peer('b')
  other = council.peer('c')
  blog = await council.claim('maria', signer, primary)
  await blog.publish('hello', other)
  await soon(nothingWasStored)
})
afterAll(() => council?.[Symbol.asyncDispose]())

type Refused = { readonly error: { readonly code: string; readonly reason: string } }

/** After any bad input: all spokes go on, and hold what was published and no more. */
async function nothingWasStored() {
  for (const spoke of council.spokes) {
    const { blogs } = await spoke.status()
    expect(blogs).toContainEqual(
      expect.objectContaining({ blog: 'maria', head: { seq: blog.head.seq, id: blog.head.id } }),
    )
  }
}

describe('POST /log', () => {
  const long = (bytes: number) => Buffer.alloc(bytes, 'a word \n')

  it('refuses a text of 66 KB and a body of 10 MB, each with 413 and a sentence', async () => {
    const signature = blog.genesis.signature
    const longText = await primary.post(submissionOf(long(66_000), signature))
    expect([longText.status, json<Refused>(longText).error.code]).toEqual([413, 'TEXT_TOO_LONG'])
    const longBody = await primary.post(submissionOf(long(10_000_000), signature))
    expect([longBody.status, json<Refused>(longBody).error.code]).toEqual([413, 'BODY_TOO_LONG'])
    expect(json<Refused>(longBody).error.reason).toContain('Split the text into two posts')
    await nothingWasStored()
  })

  it.each([
    ['at the primary', () => primary],
    ['at another spoke', () => other],
  ])('refuses an entry for another council %s', async (_where, at) => {
    const foreign = await signEntry(signer, {
      kind: 'post',
      ...{ council: `blogs.localhost/${'5f'.repeat(32)}`, blog: 'maria' },
      ...{ seq: blog.head.seq + 1, prev: blog.head.id, date: '2026-11-23T03:40:00Z' },
      ...{ key: signer.fingerprint, slug: 'far', title: 'Far', body: 'Far' },
    })
    const answer = await at().post(foreign.submission)
    expect([answer.status, json<Refused>(answer).error]).toMatchObject([
      400,
      { code: 'ENTRY_COUNCIL', reason: expect.stringContaining(council.id) },
    ])
    await nothingWasStored()
  })

  it.each([
    ['at the primary', () => primary],
    ['at another spoke', () => other],
  ])('answers a second entry for a taken seq with 409 and the head, %s', async (_where, at) => {
    const second = await blog.next('late', { head: blog.genesis.entry })
    const answer = await at().post(second.submission)
    expect([answer.status, json(answer)]).toMatchObject([
      409,
      {
        error: { code: 'SEQ_TAKEN', reason: expect.stringContaining('Sign your text again') },
        head: { seq: blog.head.seq, id: blog.head.id },
      },
    ])
    await nothingWasStored()
  })

  it('answers an entry for a seq too far ahead with 409 and the head', async () => {
    const ahead = { seq: blog.head.seq + 5, id: blog.head.id }
    const answer = await other.post((await blog.next('ahead', { head: ahead })).submission)
    expect([answer.status, json(answer)]).toMatchObject([
      409,
      {
        error: {
          reason: expect.stringContaining(`Sign your text again as entry ${blog.head.seq + 1}`),
        },
        head: { seq: blog.head.seq, id: blog.head.id },
      },
    ])
    await nothingWasStored()
  })

  it('answers the same entry again with its present state', async () => {
    const { submission } = blog.entries[1] ?? blog.genesis
    for (const spoke of council.spokes) {
      await soon(async () => {
        const answer = await spoke.post(submission)
        expect([answer.status, json(answer)]).toMatchObject([
          201,
          { seq: 1, published: true, copies: 3, wanted: 3 },
        ])
      })
    }
    await nothingWasStored()
  })

  it('stores an entry once that is handed in six times at once, at all spokes', async () => {
    const twice = await blog.next('twice')
    const at = [...council.spokes, ...council.spokes]
    const answers = await Promise.all(at.map((spoke) => spoke.post(twice.submission)))
    for (const { status, body } of answers)
      expect([201, 202], body.toString().slice(0, 300)).toContain(status)
    blog.entries.push(twice)
    await soon(nothingWasStored)
  })

  it('refuses an entry of which one byte was changed after it was signed', async () => {
    const { entry, signature } = await blog.next('changed')
    const text = Buffer.from(entry.text)
    text[text.length - 1] = '!'.charCodeAt(0)
    const answer = await other.post(submissionOf(text, signature))
    expect([answer.status, json<Refused>(answer).error.code]).toEqual([
      expect.toSatisfy((status: number) => status >= 400 && status < 404),
      expect.stringContaining('SIGNATURE'),
    ])
    await nothingWasStored()
  })

  it('says that there is no blog of that name, and not that it failed', async () => {
    const stray = await council.sign('nobody', signer)
    const { submission } = await stray.next('stray')
    const answer = await other.post(submission)
    expect([answer.status, json<Refused>(answer).error.code]).toEqual([404, 'BLOG_UNKNOWN'])
  })
})

describe('a claim', () => {
  /** The refusal in the claim's record, as every spoke shows it. */
  async function refusal(name: string, by: Signer, at: TestPeer) {
    const claimed = await council.sign(name, by)
    await claimed.handIn(at)
    return soon(async () => {
      const record = await claimed.claim(council.peer('a'))
      expect(record.state).toBe('refused')
      return record
    })
  }

  it('of a taken name is refused, with who has it and since when', async () => {
    expect(await refusal('maria', await makeSigner('Eva'), other)).toMatchObject({
      code: 'NAME_TAKEN',
      reason: expect.stringMatching(
        new RegExp(`maria is taken: given to the key ${signer.fingerprint} on 20\\d\\d-.* UTC`),
      ),
    })
    await nothingWasStored()
  })

  it('of a reserved name, or of one that looks like a taken one, is refused', async () => {
    const eva = await makeSigner('Eva')
    expect(await refusal('admin', eva, other)).toMatchObject({
      code: 'NAME_RESERVED',
      reason: expect.stringContaining('Choose another'),
    })
    const alike = await refusal('mar1a', eva, other)
    expect(alike).toMatchObject({
      code: 'NAME_LOOKS_ALIKE',
      reason: expect.stringContaining('looks like maria'),
    })
    // Whoever comes back to the address of the claim is told so, at any spoke.
    for (const spoke of council.spokes) {
      const page = await asBrowser(spoke, { path: `/claim/${alike.id}` })
      expect([page.status, page.body]).toEqual([200, expect.stringContaining('mar1a was refused')])
      expect(page.body).toContain('looks like maria')
      expect(page.body).toContain('Choose another name')
    }
  })

  it('of a malformed name is refused at once', async () => {
    const text = Buffer.from(blog.genesis.entry.text)
      .toString()
      .replace('\nblog maria\n', '\nblog -Maria\n')
    const answer = await other.post(
      submissionOf(Buffer.from(text), await signer.sign(Buffer.from(text))),
    )
    expect([answer.status, json<Refused>(answer).error.reason]).toEqual([
      400,
      expect.stringContaining('3 to 30 of a–z, 0–9 and -'),
    ])
  })

  it('made twice at once goes to one of the two, and the other is told', async () => {
    const signers = await Promise.all(['Ana', 'Bea'].map(makeSigner))
    const blogs = await Promise.all(signers.map((each) => council.sign('plaza', each)))
    const records = await Promise.all(
      blogs.map(async (each, index) => {
        const at = council.spokes[index] as TestPeer
        await each.handIn(at)
        return soon(async () => {
          const record = await each.claim(at)
          expect(record.state).not.toBe('pending')
          return record
        })
      }),
    )
    expect(records.map(({ state }) => state).sort()).toEqual(['ready', 'refused'])
    const winner = signers[records.findIndex(({ state }) => state === 'ready')]
    expect(records.find(({ state }) => state === 'refused')).toMatchObject({
      code: 'NAME_TAKEN',
      reason: expect.stringContaining(winner?.fingerprint ?? 'nobody'),
    })
  })
})

describe('a form', () => {
  it.each(['/start', '/start/blog', '/login', '/login/answer', '/sign', '/logout', '/revoke'])(
    'of 10 MB to %s is refused with 413, and the spoke goes on',
    async (path) => {
      const answer = await asBrowser(primary, { path, body: `key=${'A'.repeat(10_000_000)}` })
      expect(answer.status).toBe(413)
      expect(answer.body).toContain('KiB')
      await nothingWasStored()
    },
  )

  it('that guesses codes is let through ten times a minute, from whatever browser', async () => {
    const statuses: (number | undefined)[] = []
    for (let tries = 0; tries < 12; tries++) {
      const cookie = `__Host-council-browser=${tries.toString(16).padStart(32, '0')}`
      const body = `answer=${'A'.repeat(28)}`
      statuses.push((await asBrowser(other, { path: '/login/answer', body, cookie })).status)
    }
    expect(statuses.slice(0, 10)).toEqual(Array(10).fill(403))
    expect(statuses.slice(10)).toEqual([429, 429])
  })
})

describe('a request', () => {
  it('for an unknown host is answered with 421 and the zone', async () => {
    const answer = await primary.ask('/', 'blogs.example.org')
    expect(answer.status).toBe(421)
    expect(answer.body.toString()).toContain('blogs.localhost')
  })
})
