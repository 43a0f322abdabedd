import { spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { type Fingerprint, parseFingerprint } from '../../auth/public-key.ts'
import { CommandError } from './failure.ts'

/** A secret key of the blogger's own keyring that can sign now. */
export type OwnKey = { readonly fingerprint: Fingerprint; readonly userId: string }

type Run = {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
  /** gpg's machine-readable lines, which do not hang on its language */
  readonly status: string
}

/** Low 16 bits of gpg's error codes (libgpg-error), as FAILURE lines give them. */
const gpgErrors = { badPassphrase: 11, noSecretKey: 17, noPinentry: 85, noTerminal: 32870 }
const cancelled = [99, 198]

/**
 * The blogger's gpg, run as it stands: her keyring, her agent, her passphrase prompt. Arguments are
 * passed one by one, never through a shell; GNUPGHOME is honoured.
 */
export class Gpg {
  readonly #env: NodeJS.ProcessEnv

  constructor(env: NodeJS.ProcessEnv) {
    // The passphrase prompt needs the terminal's name: gpg's own stdin is a pipe here.
    const tty = env.GPG_TTY ?? terminal()
    this.#env = { ...env, LC_ALL: 'C', ...(tty === undefined ? {} : { GPG_TTY: tty }) }
  }

  /**
   * The one secret key that `userId` names and that can sign today. Throws `usage` when there is
   * none or more than one, `refused` when all of them are expired, revoked or unfit to sign.
   */
  async findKey(userId: string): Promise<OwnKey> {
    const { stdout } = await this.#run([
      '--batch',
      '--with-colons',
      '--fixed-list-mode',
      '--list-secret-keys',
      '--',
      userId,
    ])
    const keys = readKeyList(stdout)
    if (keys.length === 0) {
      throw new CommandError(
        'usage',
        `gpg has no secret key for "${userId}". List yours with: gpg --list-secret-keys`,
      )
    }
    const good = keys.filter((key) => key.trouble === null)
    const [first] = good
    if (first === undefined) {
      const all = keys.map((key) => `${key.fingerprint} ${key.trouble}`).join('; ')
      throw new CommandError(
        'refused',
        `Nothing was sent: ${all}. Extend an expired key with gpg --quick-set-expire <fingerprint> 2y, or give another key with --key.`,
      )
    }
    if (good.length > 1) {
      const all = good.map((key) => `\n  ${key.fingerprint}  ${key.userId}`).join('')
      throw new CommandError(
        'usage',
        `"${userId}" fits more than one secret key. Give the fingerprint of the one you mean:${all}`,
      )
    }
    return first
  }

  /** The public key, armored, without certifications by others. */
  async exportKey(key: OwnKey): Promise<string> {
    const run = await this.#run([
      '--batch',
      '--armor',
      '--no-emit-version',
      '--no-comments',
      '--export-options',
      'export-minimal',
      '--export',
      '--',
      key.fingerprint,
    ])
    if (run.exit !== 0 || run.stdout === '') throw gpgFailed('export the key', run)
    return run.stdout
  }

  /**
   * A detached, armored signature over exactly these bytes. Throws `failed` when the passphrase
   * prompt is cancelled or the secret key cannot be used.
   */
  async detachSign(key: OwnKey, text: Uint8Array): Promise<string> {
    const run = await this.#run(
      [
        '--batch',
        '--armor',
        '--no-emit-version',
        '--no-comments',
        '--digest-algo',
        'SHA512',
        '--local-user',
        key.fingerprint,
        '--output',
        '-',
        '--detach-sign',
      ],
      text,
    )
    if (run.exit === 0 && run.stdout !== '') return run.stdout
    const code = Number(/^\[GNUPG:\] FAILURE sign ([0-9]+)$/m.exec(run.status)?.[1] ?? 0) & 0xffff
    if (cancelled.includes(code)) {
      throw new CommandError('failed', 'You cancelled the passphrase prompt: nothing was sent.')
    }
    const known: Readonly<Record<number, string>> = {
      [gpgErrors.badPassphrase]: 'The passphrase is wrong: nothing was sent.',
      [gpgErrors.noSecretKey]: `gpg has no secret part of ${key.fingerprint} that can sign. Is it on a card that is not plugged in?`,
      [gpgErrors.noPinentry]:
        'gpg cannot ask for the passphrase: install a pinentry (Debian: apt install pinentry-curses).',
      [gpgErrors.noTerminal]:
        'gpg cannot ask for the passphrase here: run the command in a terminal, with GPG_TTY=$(tty).',
    }
    if (known[code] !== undefined) throw new CommandError('failed', known[code])
    throw gpgFailed('sign', run)
  }

  #run(args: readonly string[], input?: Uint8Array): Promise<Run> {
    const { promise, resolve, reject } = Promise.withResolvers<Run>()
    const child = spawn('gpg', ['--status-fd', '3', ...args], {
      env: this.#env,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    const collected = { stdout: '', stderr: '', status: '' }
    const streams = { stdout: child.stdio[1], stderr: child.stdio[2], status: child.stdio[3] }
    for (const name of ['stdout', 'stderr', 'status'] as const) {
      streams[name]?.on('data', (part: Buffer) => {
        collected[name] += part.toString('utf8')
      })
    }
    child.on('error', (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === 'ENOENT'
          ? new CommandError(
              'failed',
              'gpg was not found. Install GnuPG (Debian: apt install gnupg) or add it to PATH.',
              { cause },
            )
          : cause,
      )
    })
    child.on('close', (exit) => resolve({ exit, ...collected }))
    // gpg may end before it has read its input; its exit says why.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    return promise
  }
}

type ListedKey = OwnKey & { readonly trouble: string | null }

/** Reads `--with-colons` (GnuPG's doc/DETAILS): a `sec` line, its `fpr`, its first `uid`. */
function readKeyList(colons: string): ListedKey[] {
  const keys: { trouble: string | null; fingerprint: string; userId: string }[] = []
  for (const line of colons.split('\n')) {
    const fields = line.split(':')
    const current = keys.at(-1)
    if (fields[0] === 'sec') {
      keys.push({ trouble: troubleOf(fields[1], fields[11]), fingerprint: '', userId: '' })
    } else if (fields[0] === 'fpr' && current?.fingerprint === '') {
      current.fingerprint = fields[9] ?? ''
    } else if (fields[0] === 'uid' && current?.userId === '') {
      current.userId = unescapeColons(fields[9] ?? '')
    }
  }
  return keys.flatMap(({ trouble, fingerprint, userId }) => {
    const parsed = parseFingerprint(fingerprint)
    return parsed === null ? [] : [{ trouble, fingerprint: parsed, userId }]
  })
}

function troubleOf(validity = '', capabilities = ''): string | null {
  if (validity === 'r') return 'is revoked'
  if (validity === 'e') return 'is expired'
  if (validity === 'i') return 'is invalid'
  if (capabilities.includes('D')) return 'is disabled in your keyring'
  return capabilities.includes('S') ? null : 'cannot sign'
}

/** gpg writes what would break its lines as \xHH. */
function unescapeColons(value: string): string {
  return value.replace(/\\x([0-9a-f]{2})/g, (whole, digits: string) => {
    const code = Number.parseInt(digits, 16)
    return code < 0x20 || code > 0x7e ? whole : String.fromCharCode(code)
  })
}

function gpgFailed(what: string, run: Run): CommandError {
  const last = run.stderr.trim().split('\n').at(-1) ?? ''
  return new CommandError(
    'failed',
    `gpg could not ${what} (exit code ${run.exit}): ${last.replace(/^gpg: /, '')}`,
  )
}

/** The terminal this process runs in; undefined where there is none, or the system has no /proc. */
function terminal(): string | undefined {
  for (const fd of [0, 1, 2]) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      if (/^\/dev\/(pts\/|tty)/.test(target)) return target
    } catch {
      return undefined
    }
  }
  return undefined
}
