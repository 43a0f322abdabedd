import { z } from 'zod'
import { parseEntryId } from '../../replication/log/text.ts'

// What a spoke answers to the blogger's commands (PROTOCOL.md, HTTP). Fields that a command does
// not use are ignored, so that a newer spoke can say more.

const seq = z.number().int().nonnegative()
const id = z.string().transform((value, context) => {
  const parsed = parseEntryId(value)
  if (parsed === null) context.addIssue('want 64 lower-case hex digits')
  return parsed ?? z.NEVER
})
const bytes = z.base64().transform((value) => new Uint8Array(Buffer.from(value, 'base64')))
const text = z.string().transform((value) => new Uint8Array(Buffer.from(value, 'utf8')))
const signed = z.object({ text, signature: bytes })
const head = z.object({ seq, id })

export const statusAnswer = z.object({
  council: z
    .string()
    .regex(/^[a-z0-9.-]+\/[0-9a-f]{64}$/)
    .nullable(),
})

/** Who is in the council, as a spoke says. */
export const membersAnswer = z.object({
  members: z.array(z.object({ peer: z.string(), name: z.string() })),
})

/** 200 and 202 to a signed order. */
export const moveAnswer = z.object({
  blog: z.string(),
  epoch: seq,
  from: z.string(),
  to: z.string().nullable(),
  replicas: z.array(z.string()),
  learners: z.array(z.string()),
  isDone: z.boolean(),
})

export const errorAnswer = z.object({
  error: z.object({ code: z.string(), reason: z.string() }),
})

/** 409 to a signed entry: another one stands at its seq. */
export const takenAnswer = errorAnswer.extend({ head })

export const logAnswer = z.object({
  council: z.string(),
  blog: z.string(),
  genesis: id,
  key: z.string(),
  head,
  published: z.number().int().min(-1),
  entries: z.array(
    z.object({
      seq,
      id,
      kind: z.string(),
      date: z.string(),
      slug: z.string().optional(),
      title: z.string().optional(),
    }),
  ),
  receipts: z.array(signed),
  act: signed.extend({ receipts: z.array(signed) }).nullable(),
})
export type LogAnswer = z.infer<typeof logAnswer>

/** 201 and 202 to a signed entry. */
export const submitAnswer = z.object({
  seq,
  id,
  url: z.string(),
  published: z.boolean(),
  copies: seq,
  wanted: seq,
  reason: z.string().nullish(),
  receipts: z.array(
    z.looseObject({
      peer: z.string(),
      spoke: z.string().nullish(),
      text: z.string(),
      signature: z.string(),
    }),
  ),
})
export type SubmitAnswer = z.infer<typeof submitAnswer>

/** 202 to a genesis; when it is handed in again after the blog is ready, like any other entry. */
export const claimedAnswer = z.object({
  id,
  claim: z.url().optional(),
  url: z.string(),
  published: z.boolean(),
})

export const claimAnswer = z.object({
  id,
  state: z.enum(['pending', 'ready', 'refused']),
  steps: z.array(
    z.object({
      step: z.string(),
      state: z.enum(['done', 'failed', 'waiting']),
      at: z.string().nullable(),
      detail: z.string(),
    }),
  ),
  reason: z.string().nullish(),
  url: z.string(),
})
export type ClaimAnswer = z.infer<typeof claimAnswer>
