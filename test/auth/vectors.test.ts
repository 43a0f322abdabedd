import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readPublicKey } from '../../src/auth/public-key.ts'
import { checkCertificate, readRevocation } from '../../src/auth/revocation.ts'
import { readSignature, splitClearsigned, verifyDetached } from '../../src/auth/signature.ts'

type KeyVector = {
  readonly name: string
  readonly description: string
  readonly key: string
  readonly valid: boolean
  readonly code?: string
  readonly fingerprint?: string
}
type SignatureVector = KeyVector & {
  readonly text: string
  readonly signature: string
  readonly paste?: string
}

function read<T>(file: string): readonly T[] {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8'))
}

type RevocationVector = {
  readonly name: string
  readonly description: string
  readonly handed: string
  readonly key: string | null
  readonly valid: boolean
  readonly code?: string
  readonly fingerprint?: string
  readonly reason?: number
  readonly hard?: boolean
  readonly date?: string
  readonly certificate?: string
}

async function judge({ key, text, signature }: SignatureVector): Promise<string> {
  const publicKey = await readPublicKey(key)
  if (!publicKey.ok) return publicKey.code
  const detached = await readSignature(signature)
  if (!detached.ok) return detached.code
  const verdict = await verifyDetached(Buffer.from(text), detached.value, publicKey.value)
  return verdict.ok ? 'valid' : verdict.code
}

describe('test vectors', () => {
  it.each(read<KeyVector>('keys.json'))('key $name: $description', async (vector) => {
    const key = await readPublicKey(vector.key)
    expect(key.ok ? 'valid' : key.code).toBe(vector.valid ? 'valid' : vector.code)
    if (key.ok) expect(key.value.fingerprint).toBe(vector.fingerprint)
  })

  it.each(read<RevocationVector>('revocations.json'))(
    'revocation $name: $description',
    async ({
      handed,
      key,
      valid,
      code,
      fingerprint,
      reason,
      hard,
      date = '',
      certificate = '',
    }) => {
      const found = await readRevocation(handed, key === null ? [] : [key])
      expect(found.ok ? 'valid' : found.code).toBe(valid ? 'valid' : code)
      if (!found.ok) return
      const says = { key: fingerprint, reason, isHard: hard, dateMs: Date.parse(date) }
      expect(found.value).toMatchObject({ ...says, certificate })
      expect(await checkCertificate(certificate)).toEqual(found)
    },
  )

  it.each(read<SignatureVector>('signatures.json'))('$name: $description', async (vector) => {
    expect(await judge(vector)).toBe(vector.valid ? 'valid' : vector.code)
  })

  it.each(read<SignatureVector>('signatures.json').filter(({ paste }) => paste !== undefined))(
    '$name turns into its text and signature',
    async ({ paste = '', text, signature }) => {
      const split = await splitClearsigned(paste)
      expect(split.ok && Buffer.from(split.value.text).toString()).toBe(text)
      expect(split.ok && split.value.signature).toBe(signature)
    },
  )
})
