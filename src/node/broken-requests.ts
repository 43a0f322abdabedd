import type { Duplex } from 'node:stream'

/** Bytes of a request's headers, its first line with them. */
export const maxHeaderBytes = 16_384
/** A first line beyond it is what made the headers too long. */
const longLineBytes = 8_192
/** So long a part of browsers' cookies has a space in it: each has 4,096 bytes of name and value. */
const unbrokenBytes = 4_200
/** Cookies under it cannot be what made the headers too long. */
const manyCookieBytes = 4_096

type BrokenRequest = NodeJS.ErrnoException & {
  /** how far the parser came in `rawPacket` */
  readonly bytesParsed?: number
  /** what came last, up to 64 KiB: the beginning of the request as a rule */
  readonly rawPacket?: Uint8Array
  readonly reason?: string
}

/**
 * Answers what is no HTTP, or too much of it, with a sentence, and closes the connection. Whoever
 * sends too many cookies is told to delete them: a blog can set some for all of the zone, and without
 * this its reader could open no page of the council until they expire.
 */
export function answerBroken(error: BrokenRequest, socket: Duplex): void {
  // An answer is under way on it: anything more would stand in the middle of that.
  const { _httpMessage: answer } = socket as { _httpMessage?: { headersSent: boolean } | null }
  if (!socket.writable || answer?.headersSent === true) {
    socket.destroy(error)
    return
  }
  socket.end(answerTo(error), () => socket.destroy())
}

function answerTo({ code, rawPacket, bytesParsed = 0, reason = 'unknown' }: BrokenRequest): string {
  const packet = Buffer.from(rawPacket ?? []).toString('latin1')
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return tooLong[whatIsTooLong(packet)]
    case 'HPE_INVALID_URL':
      return answerAddress(packet, bytesParsed)
    case 'HPE_INVALID_METHOD':
      return sentence(
        '400 Bad Request',
        'This is no request that this server knows: pages are asked for by GET, forms sent by POST.',
      )
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return sentence(
        '413 Content Too Large',
        'A chunk of what was sent has too long an extension.',
      )
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return sentence('408 Request Timeout', 'The request did not arrive in time. Send it again.')
  }
  return sentence('400 Bad Request', `This is no request in HTTP/1.1 (RFC 9112): ${reason}.`)
}

/**
 * What of a request's headers is too long. Where only its middle is at hand, and that may be either,
 * it counts as cookies: these would keep a reader out again and again, an address does not. Pure.
 *
 * @param packet - what came last of it
 */
export function whatIsTooLong(packet: string): 'address' | 'cookies' | 'headers' {
  const end = packet.indexOf('\r\n')
  const line = end === -1 ? packet : packet.slice(0, end)
  if (/^[A-Z][A-Z-]{0,19} [^ ]/.test(line)) {
    if (line.length > longLineBytes) return 'address'
    const cookies = /\r\ncookie:([^\r]*)/i.exec(packet)?.[1] ?? ''
    return cookies.length >= manyCookieBytes ? 'cookies' : 'headers'
  }
  const isUnbroken = end === -1 && !line.includes(' ') && line.length >= unbrokenBytes
  return isUnbroken || /^[^ ]* HTTP\/1\.[01]$/.test(line) ? 'address' : 'cookies'
}

/** People type words as they are; browsers escape them, other programs do not. */
function answerAddress(packet: string, at: number): string {
  const start = packet.lastIndexOf('\n', at) + 1
  const end = packet.indexOf('\r\n', at)
  const target = escapedTarget(packet.slice(start, end === -1 ? undefined : end))
  return target === null
    ? sentence(
        '400 Bad Request',
        'The address has characters that no address has (RFC 3986). Write them as UTF-8 with percent signs: %20 is a space.',
      )
    : sentence(
        '308 Permanent Redirect',
        `The same address with percent signs is answered: ${target}`,
        `Location: ${target}\r\n`,
      )
}

/**
 * What a request line asks for when letters beyond ASCII stand in it as they are, in UTF-8: the same,
 * percent-encoded. Pure.
 *
 * @param line - its bytes, each as one character
 * @returns null: not UTF-8, no GET or HEAD, or something else is wrong with it
 */
export function escapedTarget(line: string): string | null {
  // Two slashes would lead to another host.
  const target = /^(?:GET|HEAD) (\/(?![/\\])[\x21-\x7e\x80-\xff]*) HTTP\/1\.[01]$/.exec(line)?.[1]
  if (target === undefined) return null
  const text = Buffer.from(target, 'latin1').toString('utf8')
  if (text.includes('\u{FFFD}')) return null
  const escaped = text.replace(/[^\x21-\x7e]+/gu, encodeURIComponent)
  return escaped === text ? null : escaped
}

function sentence(status: string, text: string, headers = ''): string {
  const body = `${text}\n`
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n${headers}\r\n${body}`
}

const tooLong = {
  address: sentence(
    '414 URI Too Long',
    'The address is longer than this server reads. Look whether the link was put together wrongly, or begin at the front page.',
  ),
  cookies: sentence(
    '431 Request Header Fields Too Large',
    'Your browser sent more cookies than this server reads: some page has left them there to keep you out. They are removed now. Load this page again; if it does not help, delete the cookies of this address in the settings of your browser.',
    'Clear-Site-Data: "cookies"\r\n',
  ),
  headers: sentence(
    '431 Request Header Fields Too Large',
    `The headers of the request are longer than ${maxHeaderBytes} bytes. Send fewer or shorter ones.`,
  ),
}
