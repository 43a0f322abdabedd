import { describe, expect, it } from 'vitest'
import { escapedTarget, whatIsTooLong } from '../../src/node/broken-requests.ts'

const long = (bytes: number) => 'a'.repeat(bytes)
const cookies = `${`c=${long(3_900)}; `.repeat(5)}x=1`

describe('whatIsTooLong', () => {
  it.each([
    ['address', 'an address of 20,000 characters', `GET /${long(20_000)} HTTP/1.1\r\nHost: x\r\n`],
    [
      'address',
      'a long address beside a login',
      `GET /${long(16_000)} HTTP/1.1\r\nHost: x\r\nCookie: __Host-council=${long(600)}\r\n\r\n`,
    ],
    ['address', 'the beginning of a long address', `GET /${long(65_000)}`],
    ['address', 'the middle of a long address', long(30_000)],
    ['address', 'the end of a long address', `${long(90)} HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\n`],
    ['cookies', 'many cookies', `GET / HTTP/1.1\r\nHost: x\r\nCookie: ${cookies}\r\n\r\n`],
    ['cookies', 'the beginning of many', `GET / HTTP/1.1\r\nHost: x\r\ncookie: ${cookies}`],
    ['cookies', 'the middle of many', cookies],
    ['cookies', 'a small piece of one', long(1_400)],
    ['headers', 'another header', `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${long(60_000)}\r\n\r\n`],
    [
      'headers',
      'another header beside a login',
      `POST / HTTP/1.1\r\nCookie: __Host-council=${long(600)}\r\nX-A: ${long(17_000)}\r\n`,
    ],
  ])('finds the %s in %s', (what, _, packet) => {
    expect(whatIsTooLong(packet)).toBe(what)
  })
})

describe('escapedTarget', () => {
  const bytes = (text: string) => Buffer.from(text).toString('latin1')
  it.each([
    ['/search?q=人人', '/search?q=%E4%BA%BA%E4%BA%BA'],
    ['/tag/año?x=%20', '/tag/a%C3%B1o?x=%20'],
    ['/🙂', '/%F0%9F%99%82'],
  ])('reads %s as what it means', (target, escaped) => {
    expect(escapedTarget(bytes(`GET ${target} HTTP/1.1`))).toBe(escaped)
    expect(escapedTarget(bytes(`HEAD ${target} HTTP/1.0`))).toBe(escaped)
  })

  it.each([
    ['another host', bytes('GET //evil.example/人 HTTP/1.1')],
    ['another host by a backslash', bytes('GET /\\evil.example/人 HTTP/1.1')],
    ['a whole address', bytes('GET http://evil.example/人 HTTP/1.1')],
    ['a post', bytes('POST /人 HTTP/1.1')],
    ['bytes that are not UTF-8', 'GET /\xff HTTP/1.1'],
    ['half a letter', 'GET /\xe4\xba HTTP/1.1'],
    ['a control character', bytes('GET /人\x07 HTTP/1.1')],
    ['a header in it', bytes('GET /人\rSet-Cookie:x HTTP/1.1')],
    ['a space', bytes('GET /人 人 HTTP/1.1')],
    ['nothing to escape', 'GET /a|b HTTP/1.1'],
    ['no end', bytes('GET /人')],
  ])('leads nowhere for %s', (_, line) => {
    expect(escapedTarget(line)).toBeNull()
  })
})
