import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KeyRing, keyStateAt, minimalKey } from '../../src/auth/public-key.ts'
import { GpgHome } from '../support/gpg.ts'
import { host, validPage } from './browser.ts'
import { memorySpoke } from './memory-spoke.ts'

const url = `${host('b.spoke')}/help/keys`
const passphrase = 'plaza otter lemon bridge seven'

/** The commands of the page as it is served, under the id of their section, in order. */
async function shownCommands(): Promise<Map<string, string[]>> {
  const commands = new Map<string, string[]>()
  for (const section of (await validPage(memorySpoke({}), url)).split('<h2 id="').slice(1)) {
    const found = [...section.matchAll(/<pre><code>(.*?)<\/code><\/pre>/gs)]
    const id = section.slice(0, section.indexOf('"'))
    commands.set(
      id,
      found.map(([, code = '']) => decode(code)),
    )
  }
  return commands
}

const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"' }
const decode = (code: string) =>
  code.replace(/&(?:#(\d+)|(\w+));/g, (_, number, name) =>
    number === undefined ? (named[name] ?? '?') : String.fromCharCode(Number(number)),
  )

/** A person's computer: an own key ring, a folder with files, and what she types when gpg asks. */
function computerOf(gpg: GpgHome) {
  const answers = join(gpg.dir, 'answers')
  writeFileSync(
    join(gpg.dir, 'gpg.conf'),
    `no-tty\nyes\npinentry-mode loopback\npassphrase ${passphrase}\n`,
  )
  const folder = join(gpg.dir, 'files')
  mkdirSync(folder)
  return {
    file: (name: string) => join(folder, name),
    read: (name: string) => readFileSync(join(folder, name), 'utf8'),
    /** Runs a line as it stands on the page; what gpg asks is answered in order. */
    type: (line: string, ...typed: string[]) => {
      writeFileSync(answers, typed.map((each) => `${each}\n`).join(''))
      const asked = typed.length === 0 ? line : line.replace('gpg ', 'gpg --command-fd 3 ')
      const run = spawnSync('bash', ['-euo', 'pipefail', '-c', `${asked} 3< ${answers}`], {
        cwd: folder,
        env: { ...process.env, LC_ALL: 'C.UTF-8', GNUPGHOME: gpg.dir },
        encoding: 'utf8',
      })
      expect([run.status, run.stderr], line).toEqual([0, expect.anything()])
      return run.stdout
    },
  }
}

describe.skipIf(!GpgHome.isInstalled)('the page about keys', () => {
  const [gpg, other] = [new GpgHome(), new GpgHome()]
  const maria = computerOf(gpg)
  const laptop = computerOf(other)
  let commands: Map<string, string[]>
  const under = (id: string) => commands.get(id) ?? []
  /** Runs what a section shows, one command after the other. */
  const typeAll = (id: string, at = maria) => under(id).map((line) => at.type(line))
  const publicKey = async (file: string) => {
    const minimal = await minimalKey(maria.read(file))
    const key = await new KeyRing().read(minimal.ok ? minimal.value : minimal.reason)
    if (!key.ok) throw new Error(key.reason)
    return key.value
  }

  beforeAll(async () => {
    commands = await shownCommands()
  })
  afterAll(() => {
    gpg[Symbol.dispose]()
    other[Symbol.dispose]()
  })

  it('shows commands in these sections and no others', () => {
    expect([...commands].map(([id, lines]) => [id, lines.length])).toEqual([
      ['make', 2],
      ['export', 2],
      ['backup', 2],
      ['restore', 2],
      ['revoke', 2],
      ['lost', 0],
      ['kinds', 1],
      ['mailvelope', 0],
    ])
  })

  it('makes a key that the council accepts, and shows its fingerprint', async () => {
    const [, shown] = typeAll('make')
    typeAll('export')
    const { fingerprint } = await publicKey('maria.asc')
    expect(shown?.replace(/\s/g, '')).toContain(fingerprint)
    expect(typeAll('kinds')[0]).toContain(fingerprint)
  })

  it('makes a backup that signs on another computer', () => {
    const [secret, revocation] = under('backup') as [string, string]
    maria.type(secret)
    maria.type(revocation, 'y', '1', '', 'y')
    expect(maria.read('maria-revocation.asc')).toContain('BEGIN PGP PUBLIC KEY BLOCK')
    writeFileSync(laptop.file('maria-secret.asc'), maria.read('maria-secret.asc'))
    const [, signed] = typeAll('restore', laptop)
    expect(signed).toContain('This is a test.')
    expect(gpg.run(['--verify'], { input: signed ?? '' }).stderr).toContain('Good signature')
  })

  it('revokes with the file from the drawer, so that the council refuses what comes after', async () => {
    typeAll('revoke')
    const stateOf = async (file: string) => keyStateAt(await publicKey(file), new Date())
    expect(await stateOf('maria.asc')).toMatchObject({ ok: true })
    expect(await stateOf('maria-revoked.asc')).toMatchObject({ ok: false, code: 'KEY_REVOKED' })
  })
})
