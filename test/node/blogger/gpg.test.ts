import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Gpg } from '../../../src/node/blogger/gpg.ts'
import { has } from '../../support/debian.ts'
import { GpgHome } from '../../support/gpg.ts'

/** A pinentry that answers every question for a passphrase in the same way. */
function withPinentry(gpg: GpgHome, answer: string): void {
  const script = `#!/bin/sh
echo OK
while read -r word rest; do
  case $word in
    GETPIN) ${answer} ;;
    BYE) echo OK; exit ;;
    *) echo OK ;;
  esac
done
`
  const path = join(gpg.dir, 'pinentry')
  writeFileSync(path, script, { mode: 0o755 })
  writeFileSync(join(gpg.dir, 'gpg-agent.conf'), `pinentry-program ${path}\n`)
}

const openGpg = (gpg: GpgHome) => new Gpg({ PATH: process.env.PATH, GNUPGHOME: gpg.dir })

describe.skipIf(!has('gpg'))('Gpg', () => {
  it.each([
    ['the prompt is cancelled', 'echo "ERR 83886179 Operation cancelled"', 'cancelled'],
    ['the passphrase is wrong', 'printf "D wrong\\nOK\\n"', 'passphrase is wrong'],
  ])('says so when %s', async (_, answer, words) => {
    using home = new GpgHome()
    withPinentry(home, answer)
    home.run([
      '--passphrase',
      'right',
      '--quick-generate-key',
      'Maria <maria@example.org>',
      'ed25519',
    ])
    // The agent remembers the passphrase of a key that it has just made.
    spawnSync('gpgconf', ['--homedir', home.dir, '--kill', 'gpg-agent'])
    const gpg = openGpg(home)
    const key = await gpg.findKey('maria@example.org')
    await expect(gpg.detachSign(key, Buffer.from('text'))).rejects.toThrow(words)
  })

  it('signs with a signing subkey, and gpg finds the primary key in the signature', async () => {
    using home = new GpgHome()
    const primary = home.makeKey('Maria <maria@example.org>', 'nistp384', { usage: 'cert' })
    home.addSubkey(primary, 'ed25519', 'sign')
    const gpg = openGpg(home)
    const signature = await gpg.detachSign(await gpg.findKey('Maria'), Buffer.from('text'))
    expect(home.verify('text', signature).stdout).toMatch(new RegExp(`VALIDSIG .*${primary}$`, 'm'))
  })

  it('refuses a key that can only certify', async () => {
    using home = new GpgHome()
    home.makeKey('Maria <maria@example.org>', 'ed25519', { usage: 'cert' })
    await expect(openGpg(home).findKey('Maria')).rejects.toMatchObject({ exit: 'refused' })
  })

  it('passes over an expired key when another one of the same name is good', async () => {
    using home = new GpgHome()
    home.makeKey('Maria 1 <maria@example.org>', 'ed25519', {
      at: '20250101T000000',
      expire: '20250601T000000',
    })
    const good = home.makeKey('Maria 2 <maria@example.org>')
    expect(await openGpg(home).findKey('maria@example.org')).toMatchObject({ fingerprint: good })
  })

  it('signs with SHA-512 whatever gpg.conf says', async () => {
    using home = new GpgHome()
    home.makeKey('Maria <maria@example.org>', 'rsa2048')
    writeFileSync(join(home.dir, 'gpg.conf'), 'digest-algo SHA1\ncomment odd\nemit-version\n')
    const gpg = openGpg(home)
    const signature = await gpg.detachSign(await gpg.findKey('Maria'), Buffer.from('text'))
    expect(signature).toMatch(/^-----BEGIN PGP SIGNATURE-----\n\n/)
    expect(home.verify('text', signature).stdout).toMatch(
      /VALIDSIG \S+ \S+ \S+ \S+ \S+ \S+ \S+ 10 /,
    )
  })
})
