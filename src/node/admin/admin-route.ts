import type { Context, Hono } from 'hono'
import type { z } from 'zod'
import { type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'

/** Code → HTTP status; every other refusal is 403. The commands' exit codes follow from it. */
const statuses: Readonly<Record<string, 400 | 404 | 409 | 413 | 500 | 503>> = {
  ACT_NOT_IN_FORCE: 503,
  ADMIN_FAILED: 500,
  ADMIN_MALFORMED: 400,
  ADMIN_NOT_FOUND: 404,
  ADMIN_TOO_LONG: 413,
  ADMIT_AMBIGUOUS: 409,
  ADMIT_UNKNOWN: 404,
  AUTHORITY_UNREACHABLE: 503,
  BLOG_UNKNOWN: 404,
  CUTOFF_ALREADY: 409,
  CUTOFF_AUTHORITY: 409,
  DEMO_NO_PEER: 409,
  DEMO_NOT_READY: 503,
  INVITE_UNKNOWN: 404,
  MEMBER_UNKNOWN: 404,
  NOT_READY: 503,
  NO_INDEX: 409,
  NAME_MALFORMED: 400,
  NOT_THE_AUTHORITY: 409,
  PROMOTE_WAITS: 503,
  REGISTRY_UNREACHABLE: 503,
  REINSTATE_NOT_CUT_OFF: 409,
}

/** Says no to a command. */
export function answerNo(c: Context, { code, reason }: Refusal): Response {
  return c.json({ error: { code, reason } }, statuses[code] ?? 403)
}

/** A question of an operator: its verdict is the answer. */
export function question(
  app: Hono,
  path: string,
  ask: (params: Readonly<Record<string, string>>) => Promise<Verdict<object>>,
): void {
  app.get(path, async (c) => {
    const answer = await ask(c.req.param() as Record<string, string>)
    return answer.ok ? c.json(answer.value) : answerNo(c, answer)
  })
}

/** An order of an operator: its form is checked, its verdict is the answer. Code ADMIN_MALFORMED. */
export function order<T>(
  app: Hono,
  path: string,
  shape: z.ZodType<T>,
  carryOut: (asked: T) => Promise<Verdict<object>>,
): void {
  app.post(path, async (c) => {
    const asked = shape.safeParse(await c.req.json().catch(() => null))
    if (!asked.success) {
      const [issue] = asked.error.issues
      const where = issue?.path.join('.') || 'the request'
      return answerNo(c, refuse('ADMIN_MALFORMED', `${where}: ${issue?.message}.`))
    }
    const answer = await carryOut(asked.data)
    return answer.ok ? c.json(answer.value) : answerNo(c, answer)
  })
}

/** The same verdict, its value shown in another form. */
export function shown<T, U>(verdict: Verdict<T>, show: (value: T) => U): Verdict<U> {
  return verdict.ok ? { ok: true, value: show(verdict.value) } : verdict
}

/** What every command that only the authority carries out says elsewhere. */
export const notTheAuthority = refuse(
  'NOT_THE_AUTHORITY',
  "This peer is not the council's authority. Give the authority's council.json with --config, on its machine.",
)
