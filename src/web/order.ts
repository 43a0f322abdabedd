import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { answerError } from './errors.ts'
import { limitRate, type RateLimits } from './rate-limit.ts'
import type { WebSpoke } from './spoke.ts'
import { maxSubmitBytes, splitSubmission } from './submit.ts'

/**
 * `POST /order`: takes a blogger's signed order to move her blog from anybody, on every host, in the
 * form of `POST /log`. It proves itself, like an entry.
 */
export function orderRoute(spoke: WebSpoke, rates: RateLimits) {
  const limit = bodyLimit({
    maxSize: maxSubmitBytes,
    onError: (c) => {
      const reason = `More than ${maxSubmitBytes} bytes were sent; an order with its signature is much shorter.`
      return answerError(c, spoke, 'BODY_TOO_LONG', reason)
    },
  })
  return new Hono().post('/order', limitRate(spoke, rates, 'form'), limit, async (c) => {
    const sent = splitSubmission(new Uint8Array(await c.req.arrayBuffer()))
    if (!sent.ok) return answerError(c, spoke, sent.code, sent.reason)
    const moved = await spoke.order(sent.value.text, sent.value.signature)
    return moved.ok
      ? c.json(moved.value, moved.value.isDone ? 200 : 202)
      : answerError(c, spoke, moved.code, moved.reason, moved.retryMs)
  })
}
