import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import type { Entry } from '../replication/log/entry.ts'
import { answerError } from './errors.ts'
import { blogUrl, claimUrl, type LinkSource, postPath } from './links.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import type { SubmitAnswer, WebSpoke } from './spoke.ts'

/** Bytes of one submission: the longest text and signature, with room for odd armor. */
export const maxSubmitBytes = 128 * 1024

/** `POST /log` (DESIGN 4): takes a signed entry from anybody, on every host. */
export function submitRoute(spoke: WebSpoke, rates: RateLimits) {
  const limit = bodyLimit({
    maxSize: maxSubmitBytes,
    onError: (c) => {
      const reason = `More than ${maxSubmitBytes} bytes were sent; an entry with its signature is shorter. Split the text into two posts.`
      return answerError(c, spoke, 'BODY_TOO_LONG', reason)
    },
  })
  return new Hono().post('/log', limitRate(spoke, rates, 'form'), limit, async (c) => {
    const sent = splitSubmission(new Uint8Array(await c.req.arrayBuffer()))
    if (!sent.ok) return answerError(c, spoke, sent.code, sent.reason)
    const answer = await spoke.submit(sent.value.text, sent.value.signature)
    switch (answer.kind) {
      case 'published':
        return c.json(submittedJson(spoke, answer), 201)
      case 'stored':
        return c.json(submittedJson(spoke, answer), 202)
      case 'claim':
        return c.json(claimJson(spoke, answer.entry), 202)
      case 'taken': {
        const { reason, head } = answer
        return c.json({ error: { code: 'SEQ_TAKEN', reason }, head }, 409)
      }
      case 'refused':
        return answerError(c, spoke, answer.code, answer.reason, answer.retryMs)
    }
  })
}

const signatureLine = Buffer.from('-----BEGIN PGP SIGNATURE-----')
const lineFeed = 0x0a

/**
 * Splits a submission into the text and its armored signature, at the last line that begins one:
 * a text may itself quote a signature. The one LF between them belongs to neither. Codes:
 * SUBMIT_CLEAR_SIGNED, SUBMIT_NO_SIGNATURE, SUBMIT_NO_TEXT.
 */
export function splitSubmission(
  body: Uint8Array,
): Verdict<{ readonly text: Uint8Array; readonly signature: string }> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (bytes.indexOf('-----BEGIN PGP SIGNED MESSAGE-----') === 0) {
    return refuse(
      'SUBMIT_CLEAR_SIGNED',
      'This is a clear-signed message. Send the text and a detached signature: gpg --armor --detach-sign makes one.',
    )
  }
  let at = bytes.lastIndexOf(signatureLine)
  while (at > 0 && bytes[at - 1] !== lineFeed) at = bytes.lastIndexOf(signatureLine, at - 1)
  if (at < 0) {
    return refuse(
      'SUBMIT_NO_SIGNATURE',
      'There is no signature. Send the text, one line end, and behind it the block that begins with -----BEGIN PGP SIGNATURE-----.',
    )
  }
  if (at < 2) {
    return refuse(
      'SUBMIT_NO_TEXT',
      'There is a signature but no text before it. Send the text that was signed, one line end, and the signature.',
    )
  }
  return accept({ text: body.subarray(0, at - 1), signature: bytes.toString('utf8', at) })
}

type Submitted = SubmitAnswer & { readonly kind: 'published' | 'stored' }

function submittedJson(spoke: LinkSource, answer: Submitted) {
  const { entry, copies, wanted, receipts, reason } = answer
  return {
    seq: entry.seq,
    id: entry.id,
    slug: 'slug' in entry ? entry.slug : null,
    url: urlOf(spoke, entry),
    published: answer.kind === 'published',
    ...(reason === null ? {} : { reason }),
    copies,
    wanted,
    receipts,
  }
}

function claimJson(spoke: LinkSource, entry: Entry) {
  return {
    seq: entry.seq,
    id: entry.id,
    claim: claimUrl(spoke, entry.id),
    url: blogUrl(spoke, entry.log),
    published: false,
    receipts: [],
  }
}

/**
 * Where readers find what the entry says. A revision's year may differ from its post's; the page
 * of the wrong year leads to the right one, so nobody has to fetch the log for this answer.
 */
function urlOf(spoke: LinkSource, entry: Entry): string {
  if (!('slug' in entry)) return blogUrl(spoke, entry.log)
  const year = new Date(entry.dateMs).getUTCFullYear()
  return blogUrl(spoke, entry.log, postPath({ year, slug: entry.slug }))
}
