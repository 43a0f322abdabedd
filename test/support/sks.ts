import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { freePort } from './council.ts'

/** A real key server, sks, in a temporary folder on a free loopback port; disposing it ends it. */
export class KeyServer implements AsyncDisposable {
  readonly port: number
  readonly #folder: string
  #child: ChildProcess | null = null

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.port = port
  }

  static async start(): Promise<KeyServer> {
    // Short, since the folder holds a Unix socket.
    const folder = await mkdtemp(join(tmpdir(), 'sks-'))
    const port = await freePort()
    for (const each of ['etc/sks', 'var/lib/sks/DB', 'var/log/sks', 'var/spool/sks', 'var/run/sks'])
      await mkdir(join(folder, each), { recursive: true })
    const settings = `hkp_address: 127.0.0.1\nhkp_port: ${port}\n`
    await writeFile(join(folder, 'etc/sks/sksconf'), settings)
    const server = new KeyServer(folder, port)
    try {
      await server.resume()
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  /** As a spoke's config names it. */
  get url(): string {
    return `hkp://127.0.0.1:${this.port}`
  }

  /** Runs again on the same port with the same keys. */
  async resume(): Promise<void> {
    this.#child = spawn('sks', ['db', '-basedir', this.#folder], { stdio: 'ignore' })
    const stats = `http://127.0.0.1:${this.port}/pks/lookup?op=stats`
    await vi.waitFor(() => fetch(stats), { timeout: 30_000, interval: 100 })
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Publishes an armored key, as `gpg --send-keys` does. */
  async add(armored: string): Promise<void> {
    const body = new URLSearchParams({ keytext: armored })
    const answer = await fetch(`http://127.0.0.1:${this.port}/pks/add`, { method: 'POST', body })
    if (!answer.ok) throw new Error(await answer.text())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
