import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { type TestPeer, zone } from './council.ts'

/**
 * One request to a spoke as a browser sends it, without following where it leads.
 *
 * @param host - the spoke's own by default
 * @param body - of a form; without it the page is only looked at
 */
export async function asBrowser(
  to: TestPeer,
  {
    path,
    host = `${to.name}.spoke.${zone}`,
    cookie = '',
    body,
  }: { path: string; host?: string; cookie?: string; body?: string },
) {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request(to.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...{ host, origin: `http://${host}`, accept: 'text/html', cookie },
      'content-type': 'application/x-www-form-urlencoded',
    },
  })
    .on('response', resolve)
    .on('error', reject)
    .end(body)
  const answer = await promise
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
}
