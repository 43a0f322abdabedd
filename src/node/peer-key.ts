import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'

/** Who a peer is: an Ed25519 key in the data folder, readable by its operator only. */
export const keyPath = (data: string) => join(data, 'peer.key')

/**
 * Reads the peer's key, and makes one where there is none.
 * @returns isNew: whether it was made now
 */
export async function openPeerKey(data: string): Promise<{ key: PrivateKey; isNew: boolean }> {
  const path = keyPath(data)
  try {
    return { key: privateKeyFromProtobuf(await readFile(path)), isNew: false }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const key = await generateKeyPair('Ed25519')
  await mkdir(data, { recursive: true })
  await writeFile(path, privateKeyToProtobuf(key), { mode: 0o600, flag: 'wx' })
  return { key, isNew: true }
}
