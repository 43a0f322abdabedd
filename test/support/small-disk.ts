import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { has } from './debian.ts'

/**
 * Whether this machine lets a test have a file system of its own, as root or by a user namespace:
 *
 *     describe.skipIf(!mayMount())('a full disk', () => { … })
 */
export function mayMount(): boolean {
  if (!has('unshare') || !has('nsenter')) return false
  try {
    execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * A file system of few MiB on a folder, in a mount namespace of its own: programs started through
 * `through` see it, and it lasts from one of them to the next, as a disk does. Disposing it ends it.
 */
export class SmallDisk {
  readonly #holder: ChildProcess
  readonly #folder: string

  private constructor(holder: ChildProcess, folder: string) {
    this.#holder = holder
    this.#folder = folder
  }

  static async mount(folder: string, mib: number): Promise<SmallDisk> {
    mkdirSync(folder, { recursive: true })
    const script = `mount -t tmpfs -o size=${mib}m tmpfs "$0" && echo ready && exec cat`
    const holder = spawn('unshare', ['-rm', 'sh', '-c', script, folder])
    const ended = once(holder, 'exit').then(() => {
      throw new Error(`cannot mount ${folder}`)
    })
    ended.catch(() => undefined)
    await Promise.race([once(holder.stdout, 'data'), ended])
    return new SmallDisk(holder, folder)
  }

  /** What a program is to be started with: its own command line goes behind this. */
  get through(): [command: string, ...args: string[]] {
    const pid = String(this.#holder.pid)
    return [
      'nsenter',
      '-t',
      pid,
      '-U',
      '-m',
      '--preserve-credentials',
      `--wd=${process.cwd()}`,
      '--',
    ]
  }

  /** A file on this disk, as seen from here. */
  path(name: string): string {
    return join(`/proc/${this.#holder.pid}/root`, this.#folder, name)
  }

  /** Takes all the room that there is. */
  fill(): void {
    const chunk = Buffer.alloc(256 * 1024, 'x')
    for (let n = 0; ; n++) {
      try {
        writeFileSync(this.path('filler'), chunk, { flag: n === 0 ? 'w' : 'a' })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return
        throw error
      }
    }
  }

  /** Gives back what `fill` took. */
  empty(): void {
    rmSync(this.path('filler'), { force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode !== null) return
    const ended = once(this.#holder, 'exit')
    this.#holder.kill('SIGKILL')
    await ended
  }
}
