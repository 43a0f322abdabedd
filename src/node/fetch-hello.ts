import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import type { Signed } from '../replication/log/text.ts'

/** How long a spoke may take to say hello, ms, and how long its answer may be, bytes. */
const helloMs = 5_000
const maxHelloBytes = 4_096

/**
 * Fetches `/_council/hello` from an address, as a reader would reach it. The signature in the
 * answer says who answered, so https certificates are not judged here. No redirects.
 * Codes: HELLO_UNREACHABLE, HELLO_FORM.
 */
export function fetchHello(url: string, nonce: string): Promise<Verdict<Signed>> {
  return new Promise((resolve) => {
    const fail = (reason: string) =>
      resolve(refuse('HELLO_UNREACHABLE', `${url} did not answer: ${reason}.`))
    const target = new URL(`/_council/hello?n=${encodeURIComponent(nonce)}`, url)
    const options = { signal: AbortSignal.timeout(helloMs), agent: false } as const
    const receive = (response: import('node:http').IncomingMessage) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxHelloBytes) response.destroy(new Error(`more than ${maxHelloBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', (error) => fail(error.message))
      response.on('end', () => {
        if (response.statusCode !== 200) fail(`status ${response.statusCode}`)
        else resolve(readHello(url, Buffer.concat(chunks).toString()))
      })
    }
    const request =
      target.protocol === 'https:'
        ? httpsRequest(target, { ...options, rejectUnauthorized: false }, receive)
        : httpRequest(target, options, receive)
    request.on('error', (error) => fail(error.message))
    request.end()
  })
}

/** Reads the answer of `/_council/hello`. Code HELLO_FORM. */
export function readHello(url: string, answer: string): Verdict<Signed> {
  const lines = answer.trimEnd().split('\n')
  const signature = Buffer.from(lines.pop() ?? '', 'base64')
  return signature.length === 64
    ? accept({ text: Buffer.from(lines.join('\n')), signature })
    : refuse('HELLO_FORM', `${url} answered with something that is no signed hello.`)
}
