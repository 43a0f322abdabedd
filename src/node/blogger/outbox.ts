import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { decodeEntry, type Entry } from '../../replication/log/entry.ts'

/** A signed entry that not all replicas are known to hold. */
export type Kept = { readonly entry: Entry; readonly signature: string }

/**
 * Signed entries of one blog, kept on the author's own disk until all its replicas have given
 * receipts (REPLICATION, "What it promises"): the council may lose them, she does not.
 */
export class Outbox {
  readonly folder: string

  /** @param council - `zone/council id` */
  constructor(env: NodeJS.ProcessEnv, council: string, blog: string) {
    const state = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state')
    this.folder = join(state, 'council', 'outbox', council.replace('/', '-'), blog)
  }

  /** Lowest seq first. */
  async list(): Promise<Kept[]> {
    const names = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    const kept: Kept[] = []
    for (const name of names.filter((each) => /^[0-9]{6,}-[0-9a-f]{64}\.txt$/.test(each)).sort()) {
      const entry = decodeEntry(await readFile(join(this.folder, name)))
      const signature = await readFile(join(this.folder, `${name}.asc`), 'utf8').catch(() => null)
      if (entry.ok && signature !== null) kept.push({ entry: entry.value, signature })
    }
    return kept.sort((a, b) => a.entry.seq - b.entry.seq)
  }

  /** Called before anything is sent. */
  async keep({ entry, signature }: Kept): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 })
    // The signature first: `list` passes over a text without one.
    await writeFile(`${this.#path(entry)}.asc`, signature, { flush: true })
    await writeFile(this.#path(entry), entry.text, { flush: true })
  }

  async drop(entry: Entry): Promise<void> {
    await rm(this.#path(entry), { force: true })
    await rm(`${this.#path(entry)}.asc`, { force: true })
  }

  /**
   * Another entry stands at its seq, so it can never be published as it is; its text is the
   * author's and stays readable. Returns where.
   */
  async setAside(entry: Entry): Promise<string> {
    const aside = this.#path(entry).replace(/\.txt$/, '.superseded')
    await rename(this.#path(entry), aside)
    await rm(`${this.#path(entry)}.asc`, { force: true })
    return aside
  }

  #path(entry: Entry): string {
    return join(this.folder, `${String(entry.seq).padStart(6, '0')}-${entry.id}.txt`)
  }
}
