import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import {
  decodeOrder,
  encodeOrder,
  orderEvidence,
  orderIn,
  verifyOrder,
} from '../../../src/replication/registry/order.ts'
import { codeOf, must } from '../test-council.ts'

type Vector = {
  readonly name: string
  readonly key: string
  readonly text: string
  readonly signature: string
  readonly valid: boolean
  readonly code?: string
}
const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../../vectors/orders.json', import.meta.url), 'utf8'),
)
const [first] = vectors as [Vector]

async function judge({ key, text, signature }: Vector) {
  const order = decodeOrder(Buffer.from(text))
  if (!order.ok) return order
  return verifyOrder(order.value, signature, must(await new KeyRing().read(key)))
}

describe('orders.json', () => {
  it('has signatures by gpg and forged orders', () => {
    expect(vectors.filter(({ valid }) => valid).length).toBeGreaterThanOrEqual(4)
    expect(vectors.filter(({ valid }) => !valid).length).toBeGreaterThan(30)
  })

  it.each(vectors)('order: $name', async (vector) => {
    expect(codeOf(await judge(vector))).toBe(vector.valid ? 'accepted' : vector.code)
  })
})

describe('encodeOrder', () => {
  it('makes the very text that was decoded', () => {
    const order = must(decodeOrder(Buffer.from(first.text)))
    expect(Buffer.from(must(encodeOrder(order)).text).toString()).toBe(first.text)
    expect(order).toMatchObject({
      blog: 'maria',
      epoch: 1,
      spoke: 'c',
      date: '2026-11-23T05:30:00Z',
    })
  })

  it('refuses what no order can say', () => {
    const order = must(decodeOrder(Buffer.from(first.text)))
    expect(codeOf(encodeOrder({ ...order, spoke: 'c\nblog mallory' }))).not.toBe('accepted')
  })
})

describe('orderIn', () => {
  it('finds the order in an act’s body, so that its signature can be checked', async () => {
    const order = must(decodeOrder(Buffer.from(first.text)))
    const found = orderIn(orderEvidence(order, first.signature))
    expect(found?.order.id).toBe(order.id)
    const { text, signature } = found?.signed ?? { text: '', signature: '' }
    expect(codeOf(await judge({ ...first, text: `${text}`, signature: `${signature}` }))).toBe(
      'accepted',
    )
  })

  it.each([
    ['no evidence', null],
    ['a report', 'Reported by a:\n\ncouncil-report 1'],
    ['an order without its signature', first.text],
    ['something in front of it', `x\n${first.text}\n${first.signature}`],
    [
      'an order that breaks a rule',
      `${first.text.replace('epoch 1', 'epoch 01')}\n${first.signature}`,
    ],
  ])('finds none: %s', (_, evidence) => {
    expect(orderIn(evidence)).toBeNull()
  })
})
