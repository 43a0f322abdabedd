// Makes orders.json again with real gpg 2.2; README.md beside it describes its shape.
//
//   node_modules/.bin/node test/vectors/make-orders.ts
//
// Run by hand, when a rule of PROTOCOL.md 9 gets a new case. Every run makes new keys.

import { writeFileSync } from 'node:fs'
import { KeyRing, minimalKey } from '../../src/auth/public-key.ts'
import { splitClearsigned } from '../../src/auth/signature.ts'
import type { PeerName } from '../../src/auth/peer-signature.ts'
import type { BlogName } from '../../src/replication/log/entry.ts'
import type { EntryId } from '../../src/replication/log/text.ts'
import { encodeOrder } from '../../src/replication/registry/order.ts'
import { GpgHome } from '../support/gpg.ts'
import { fakeId, forge, must, peer } from '../replication/test-council.ts'

// The council, the act and the spoke of the examples in PROTOCOL.md.
const id = 'fa647b7a63d866d2bf4908785ee8873a1408b084f04edd30e4c5f0d0cb458ff4'
const council = `blogs.example.org/${id}`
const act = 'a7b418f29cf168fcfdcb179963e264d33a825c6b7c97e35750e997386c33b331' as EntryId
const primary = '12D3KooWRndVhVZPCiQwHBBBdg769GyrPUW13zxwqQyf9r3ANaba' as PeerName

using gpg = new GpgHome()
const maria = gpg.makeKey('Maria <maria@example.org>')
const mallory = gpg.makeKey('Mallory <mallory@example.org>')
const rsa = gpg.makeKey('Rosa <rosa@example.org>', 'rsa3072')
const keyOf = async (fingerprint: string) => must(await minimalKey(gpg.exportKey(fingerprint)))
const orderBy = async (fingerprint: string) =>
  must(
    encodeOrder({
      ...{ council, blog: 'maria' as BlogName, act, epoch: 1, primary, spoke: 'c' },
      dateMs: Date.parse('2026-11-23T05:30:00Z'),
      key: must(await new KeyRing().read(await keyOf(fingerprint))).fingerprint,
    }),
  ).text

const text = await orderBy(maria)
const vectors: object[] = []
const add = async (
  name: string,
  of: Uint8Array,
  { code, by = maria, signature = gpg.sign(of, by), key = maria }: Partial<Record<'code' | 'by' | 'signature' | 'key', string>> = {},
) => {
  const verdict = code === undefined ? { valid: true } : { valid: false, code }
  vectors.push({ name, key: await keyOf(key), text: Buffer.from(of).toString(), signature, ...verdict })
}
const broken = (name: string, part: string | RegExp, by: string, code: string) =>
  add(name, forge(text, part, by), { code })

await add('detached', text)
await add('text mode', text, { signature: gpg.sign(text, maria, 'text') })
const clear = must(await splitClearsigned(gpg.sign(text, maria, 'clear')))
await add('clear-signed', text, { signature: clear.signature })
await add('RSA', await orderBy(rsa), { by: rsa, key: rsa })
await broken('another format', 'order 1', 'order 2', 'ORDER_FIRST_LINE')
await broken('an entry', 'council-order 1', 'council-entry 1', 'ORDER_FIRST_LINE')
await broken('a body', /$/, '\n\nPlease.', 'ORDER_BODY')
await broken('a final LF', /$/, '\n', 'TEXT_ENDS_IN_LINE_FEED')
await broken('an unknown header', 'spoke c', 'spoke c\nmood good', 'HEADER_UNKNOWN')
await broken('two spokes', 'spoke c', 'spoke c\nspoke d', 'HEADER_REPEATED')
await broken('headers in another order', /(act .*\n)(epoch .*\n)/, '$2$1', 'HEADER_ORDER')
for (const header of ['council', 'blog', 'act', 'epoch', 'primary', 'spoke', 'date'])
  await broken(`no ${header}`, new RegExp(`\n${header} .*`), '', 'HEADER_MISSING')
await broken('no key', /\nkey .*/, '', 'HEADER_MISSING')
const values = {
  ...{ council: 'blogs.example.org', blog: '@names', act: fakeId('A7'), epoch: '04' },
  ...{ primary: 'c', spoke: 'C', date: '2026-02-30T00:00:00Z', key: maria.toLowerCase() },
}
for (const [header, value] of Object.entries(values))
  await broken(`${header} ${value}`, new RegExp(`\n${header} .*`), `\n${header} ${value}`, 'HEADER_VALUE')
await add('signed by another key', text, { by: mallory, code: 'SIGNATURE_OTHER_KEY' })
await add('in the name of another key', forge(text, /key .*/, `key ${mallory}`), {
  ...{ by: mallory, code: 'ORDER_OTHER_KEY' },
})
const changed = { signature: gpg.sign(text, maria), code: 'SIGNATURE_BAD' }
await add('another spoke than was signed', forge(text, 'spoke c', 'spoke d'), changed)
await add('another peer than was signed', forge(text, primary, peer(2).peer), changed)
await add('another blog than was signed', forge(text, 'blog maria', 'blog mario'), changed)
await add('another council than was signed', forge(text, id, fakeId('6f')), changed)
await add('a later epoch than was signed', forge(text, 'epoch 1', 'epoch 2'), changed)
await add('another act than was signed', forge(text, act, fakeId('a8')), changed)
await add('a later date than was signed', forge(text, '05:30:00Z', '06:30:00Z'), changed)
await add('over SHA-1', text, {
  signature: gpg.sign(text, rsa, 'detached', { options: ['--digest-algo', 'SHA1', '--allow-weak-digest-algos'] }),
  code: 'SIGNATURE_WEAK_HASH',
})
await add('no signature', text, { signature: 'council', code: 'ARMOR_MISSING' })

const url = new URL('orders.json', import.meta.url)
writeFileSync(url, `${JSON.stringify(vectors, null, 2)}\n`)
console.log(`${vectors.length} orders`)
