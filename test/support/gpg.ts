import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** How a text is signed: `--detach-sign`, the same with `--textmode`, `--clearsign`. */
export type GpgMode = 'detached' | 'text' | 'clear'

export type GpgResult = {
  readonly status: number | null
  readonly stdout: string
  /** what gpg tells a person */
  readonly stderr: string
}

/**
 * A real gpg with a key ring of its own in a temporary folder. `using gpg = new GpgHome()` or
 * dispose it in `afterAll`: that stops its agent and removes the folder. All keys are without
 * passphrase.
 */
export class GpgHome implements Disposable {
  /** For `describe.skipIf(!GpgHome.isInstalled)`. On Debian: apt install gpg gpgv gpgconf. */
  static readonly isInstalled = ['gpg', 'gpgv', 'gpgconf'].every(
    (program) => spawnSync(program, ['--version']).status === 0,
  )

  readonly dir = mkdtempSync(join(tmpdir(), 'council-gpg-'))
  #files = 0

  /** Runs gpg without questions. Throws when it fails, unless `mayFail`. */
  run(
    args: readonly string[],
    options: { input?: string | Uint8Array; mayFail?: boolean } = {},
  ): GpgResult {
    return this.#spawn(
      'gpg',
      [
        '--homedir',
        this.dir,
        '--batch',
        '--yes',
        '--pinentry-mode',
        'loopback',
        '--passphrase',
        '',
      ].concat(args),
      options,
    )
  }

  /** Runs gpg as at a terminal and answers its questions in their order. */
  answer(args: readonly string[], answers: readonly string[]): GpgResult {
    return this.#spawn(
      'gpg',
      ['--homedir', this.dir, '--no-tty', '--pinentry-mode', 'loopback', '--passphrase', ''].concat(
        '--command-fd',
        '0',
        args,
      ),
      { input: `${answers.join('\n')}\n` },
    )
  }

  /**
   * Makes a key and returns its fingerprint.
   *
   * @param algorithm - as for `--quick-generate-key`: `ed25519`, `rsa3072`, `nistp256`, …
   * @param at - the instant the key is made, as `20260101T000000`; now when left out
   */
  makeKey(
    userId: string,
    algorithm = 'ed25519',
    {
      usage = 'cert,sign',
      expire = 'never',
      at,
    }: {
      usage?: string
      expire?: string
      at?: string
    } = {},
  ): string {
    const made = this.run([
      ...fakedTime(at),
      '--status-fd',
      '1',
      '--quick-generate-key',
      userId,
      algorithm,
      usage,
      expire,
    ])
    const fingerprint = /KEY_CREATED \S+ ([0-9A-F]{40})/.exec(made.stdout)?.[1]
    if (fingerprint === undefined) throw new Error(`gpg made no key: ${made.stderr}`)
    return fingerprint
  }

  addSubkey(
    fingerprint: string,
    algorithm: string,
    usage: string,
    { expire = 'never', at }: { expire?: string; at?: string } = {},
  ): void {
    this.run([...fakedTime(at), '--quick-add-key', fingerprint, algorithm, usage, expire])
  }

  /** Armored public key. */
  exportKey(fingerprint: string, options: readonly string[] = []): string {
    return this.run([...options, '--armor', '--export', fingerprint]).stdout
  }

  exportSecretKey(fingerprint: string): string {
    return this.run(['--armor', '--export-secret-keys', fingerprint]).stdout
  }

  /** The armored detached signature, or the whole clear-signed text. */
  sign(
    text: string | Uint8Array,
    fingerprint: string,
    mode: GpgMode = 'detached',
    { at, options = [] }: { at?: string; options?: readonly string[] } = {},
  ): string {
    const how = { detached: ['-b'], text: ['--textmode', '-b'], clear: ['--clearsign'] }[mode]
    return this.run([...fakedTime(at), ...options, '-u', fingerprint, '--armor', ...how], {
      input: text,
    }).stdout
  }

  /** A revocation certificate; reasons as gpg's menu has them, not as the packet codes them. */
  makeRevocation(
    fingerprint: string,
    reason: 'none' | 'compromised' | 'superseded' | 'retired',
    { at }: { at?: string } = {},
  ): string {
    const menu = { none: '0', compromised: '1', superseded: '2', retired: '3' }[reason]
    return this.answer(
      [...fakedTime(at), '--armor', '--gen-revoke', fingerprint],
      ['y', menu, '', 'y'],
    ).stdout
  }

  importKey(armored: string): void {
    this.run(['--import'], { input: armored, mayFail: true })
  }

  /** `gpg --verify` with this key ring. Read `VALIDSIG`: gpg ends with 0 for expired keys too. */
  verify(text: string | Uint8Array, signature: string): GpgResult {
    return this.run(['--status-fd', '1', '--verify', this.file(signature), this.file(text)], {
      mayFail: true,
    })
  }

  /** `gpgv` with nothing but the armored key, as a reader checks (facts/UX.md 4.3). */
  gpgv(text: string | Uint8Array, signature: string, armoredKey: string): GpgResult {
    const ring = this.file('')
    this.run(['--output', ring, '--dearmor'], { input: armoredKey })
    return this.#spawn(
      'gpgv',
      ['--homedir', this.dir, '--status-fd', '1', '--keyring', ring].concat(
        this.file(signature),
        this.file(text),
      ),
      { mayFail: true },
    )
  }

  /** Writes a file into the home and returns its path. */
  file(content: string | Uint8Array): string {
    this.#files += 1
    const path = join(this.dir, `file-${this.#files}`)
    writeFileSync(path, content)
    return path
  }

  [Symbol.dispose](): void {
    spawnSync('gpgconf', ['--homedir', this.dir, '--kill', 'all'])
    rmSync(this.dir, { recursive: true, force: true })
  }

  #spawn(
    program: string,
    args: readonly string[],
    { input = '', mayFail = false }: { input?: string | Uint8Array; mayFail?: boolean },
  ): GpgResult {
    const env = { ...process.env, LC_ALL: 'C.UTF-8', GNUPGHOME: this.dir }
    const run = spawnSync(program, args, { input, env, maxBuffer: 64 * 1024 * 1024 })
    if (run.error !== undefined) throw run.error
    const result = {
      status: run.status,
      stdout: run.stdout.toString('utf8'),
      stderr: run.stderr.toString('utf8'),
    }
    if (result.status !== 0 && !mayFail) {
      throw new Error(
        `${program} ${args.join(' ').slice(0, 300)} ended with ${result.status}: ${result.stderr}`,
      )
    }
    return result
  }
}

function fakedTime(at: string | undefined): readonly string[] {
  return at === undefined ? [] : ['--faked-system-time', `${at}!`]
}
