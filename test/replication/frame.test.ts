import { encode } from 'cborg'
import { describe, expect, it } from 'vitest'
import { decodeFrame } from '../../src/replication/frame.ts'
import { maxFrameBytes, maxFrameItems } from '../../src/replication/protocol.ts'
import { workedMs } from '../support/worked.ts'

/** `head`, and then one byte again and again up to the size of a frame. */
const filled = (head: string, byte: number) =>
  Buffer.concat([Buffer.from(head, 'hex'), Buffer.alloc(maxFrameBytes - 16, byte)])

describe('decodeFrame', () => {
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['lists in one another, two million deep', filled('', 0x81)],
    ['maps in one another, a million deep', filled('', 0xa1)],
    ['two million items in a list', filled('9a001ffff0', 0x00)],
    ['two million empty lists in a list', filled('9a001ffff0', 0x80)],
    ['a list that says it has 2⁶³ items', Buffer.from('9b7fffffffffffffff', 'hex')],
    ['a map that says it has 2³² keys', Buffer.from('baffffffff', 'hex')],
    ['a text that says it has 4 GiB', Buffer.from('7affffffff', 'hex')],
    ['bytes that say they have 2⁶³', Buffer.from('5b7fffffffffffffff', 'hex')],
    ['a list without a length', filled('9f', 0x00)],
    ['a short list without a length', Buffer.from('9f01ff', 'hex')],
    ['a short map without a length', Buffer.from('bf617401ff', 'hex')],
    ['bytes without a length', Buffer.from('5f4101ff', 'hex')],
    ['a key twice', Buffer.from('a2617401617402', 'hex')],
    ['a tag', Buffer.from('c11a514b67b0', 'hex')],
    ['a break alone', Buffer.from('ff', 'hex')],
    ['something behind the value', Buffer.from('0000', 'hex')],
    ['a number as a key', Buffer.from('a10101', 'hex')],
  ])('refuses %s, quickly', (_, bytes) => {
    const startMs = workedMs()
    expect(() => decodeFrame(bytes)).toThrow()
    expect(workedMs() - startMs).toBeLessThan(500)
  })

  it('takes as many items as the largest answer has, and not one more', () => {
    const list = (items: number) => encode(new Array(items - 1).fill(0))
    expect(decodeFrame(list(maxFrameItems))).toHaveLength(maxFrameItems - 1)
    expect(() => decodeFrame(list(maxFrameItems + 1))).toThrow(/items/)
  })

  it('reads what this program writes, also out of a larger buffer', () => {
    const value = { t: 'range', log: 'maria', from: 2, bytes: Buffer.from('x'), none: null }
    const whole = Buffer.concat([Buffer.from('ab'), encode(value), Buffer.from('cd')])
    expect(decodeFrame(whole.subarray(2, -2))).toEqual({ ...value, bytes: new Uint8Array([120]) })
  })

  it('gives no value another prototype', () => {
    const read = decodeFrame(encode(JSON.parse('{"__proto__": {"t": "heads"}}')))
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
  })
})
