import { registerHooks } from 'node:module'

/** Readers of texts that are functions of the bytes alone, by file: all peers of a simulation read the same texts. */
const readers: Readonly<Record<string, string>> = {
  '/src/replication/log/entry.ts': 'decodeEntry',
  '/src/replication/log/receipt.ts': 'decodeReceipt',
  '/src/replication/registry/act.ts': 'decodeAct',
  '/src/auth/signature.ts': 'readSignature',
}
const mark = '?read-once'
/** Texts that are remembered; beyond it all are forgotten. */
const maxTexts = 20_000
/** Longer ones are read anew: to look one up takes as long. */
const maxBytes = 8_192

type Text = string | Uint8Array | { readonly text: Uint8Array; readonly signature: Uint8Array }

/**
 * From now on the modules that are loaded find in the place of each reader one that remembers its
 * answers by the bytes that it was asked for. So a simulation takes the same course, in less time; the
 * product, whose peers are processes of their own, has little of it.
 */
export function readOnce(): void {
  registerHooks({
    resolve: (specifier, context, next) => {
      const found = next(specifier, context)
      const isOwn = context.parentURL?.endsWith(mark) === true
      return !isOwn && readerOf(found.url) !== undefined
        ? { ...found, url: `${found.url}${mark}` }
        : found
    },
    load: (url, context, next) => {
      if (!url.endsWith(mark)) return next(url, context)
      const real = url.slice(0, -mark.length)
      const name = readerOf(real)
      const source = [
        `export * from ${JSON.stringify(real)}`,
        `import { ${name} as real } from ${JSON.stringify(real)}`,
        `import { remembering } from ${JSON.stringify(import.meta.url)}`,
        `export const ${name} = remembering(real)`,
      ]
      return { format: 'module', source: source.join('\n'), shortCircuit: true }
    },
  })
}

const readerOf = (url: string) => Object.entries(readers).find(([file]) => url.endsWith(file))?.[1]

/** The same reader, which reads each text once. Its answers are never changed by anybody. */
export function remembering<T>(read: (text: Text) => T): (text: Text) => T {
  const known = new Map<string, T>()
  return (text) => {
    const key = keyOf(text)
    if (key === null) return read(text)
    const before = known.get(key)
    if (before !== undefined) return before
    if (known.size >= maxTexts) known.clear()
    const answer = read(text)
    known.set(key, answer)
    return answer
  }
}

/** The bytes as a string; null where they are too many. */
function keyOf(text: Text): string | null {
  if (typeof text === 'string') return text.length > maxBytes ? null : text
  if (text instanceof Uint8Array) return text.length > maxBytes ? null : latin1(text)
  const { length } = text.text
  return length + text.signature.length > maxBytes
    ? null
    : `${latin1(text.text)} ${latin1(text.signature)}`
}

const latin1 = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
