import { Hono } from 'hono'
import { answerError } from './errors.ts'
import type { WebSpoke } from './spoke.ts'

/** `/_council/…`: what other machines ask, on every host. */
export function machineRoutes(spoke: WebSpoke) {
  return new Hono()
    .get('/_council/hello', (c) => {
      const nonce = c.req.query('n') ?? ''
      if (!/^[a-zA-Z0-9_-]{16,64}$/.test(nonce)) {
        const reason = 'Want ?n= with a nonce of 16 to 64 characters of a–z, A–Z, 0–9, - and _.'
        return answerError(c, spoke, 'HELLO_NONCE', reason)
      }
      const hello = spoke.hello(nonce)
      if (hello === null) {
        const reason = 'This server has not joined its council yet. Try again in a minute.'
        return answerError(c, spoke, 'NOT_READY', reason)
      }
      c.header('Cache-Control', 'no-store')
      const text = Buffer.from(hello.text).toString('utf8')
      return c.text(`${text}\n${Buffer.from(hello.signature).toString('base64')}`)
    })
    .get('/_council/status', async (c) => {
      c.header('Cache-Control', 'no-store')
      return c.body(JSON.stringify(await spoke.status()), 200, {
        'Content-Type': 'application/json',
      })
    })
}
