import { isIPv6 } from 'node:net'
import { Hono } from 'hono'
import { answerError } from './errors.ts'
import type { Place } from './host.ts'
import { placeReader } from './places.ts'
import type { WebSpoke } from './spoke.ts'

/** `/_council/…`: what other machines ask, on every host. */
export function machineRoutes(spoke: WebSpoke) {
  const placeOf = placeReader(spoke)
  return (
    new Hono()
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
      // A proxy asks this before it gets a certificate for a name, and only 200 means yes. Answered
      // from memory, so that no name waits for another server (facts/UX 2c).
      .get('/_council/tls-ask', (c) => {
        c.header('Cache-Control', 'no-store')
        const domain = c.req.query('domain') ?? ''
        const place = placeOf(isIPv6(domain) ? `[${domain}]` : domain)
        if (isServed(spoke, place)) return c.text('yes\n')
        const [code, reason] =
          place.kind === 'blog' || place.kind === 'edit'
            ? ['BLOG_UNKNOWN', `This server keeps no blog ${place.blog}.`]
            : ['HOST_UNKNOWN', 'This server does not answer for that name.']
        return answerError(c, spoke, code, reason)
      })
      .get('/_council/status', async (c) => {
        c.header('Cache-Control', 'no-store')
        return c.body(JSON.stringify(await spoke.status()), 200, {
          'Content-Type': 'application/json',
        })
      })
  )
}

/** Whether DNS may lead somebody here by that name (DESIGN 5, Zone). */
function isServed(spoke: WebSpoke, place: Place): boolean {
  switch (place.kind) {
    case 'council':
    case 'own':
      return true
    case 'spoke':
      return place.name === spoke.name
    case 'blog':
    case 'edit':
      return spoke.keeps(place.blog)
    case 'unknown':
      return false
  }
}
