import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bloggerCommands } from '../../src/node/blogger/commands.ts'
import { soon, startCouncil, type TestCouncil, type TestPeer, zone } from '../support/council.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'

describe.skipIf(!GpgHome.isInstalled || !has('dig'))('a blogger with gpg', () => {
  const host = `maria.${zone}`
  const folder = mkdtempSync(join(tmpdir(), 'council-blogger-'))
  const gpg = new GpgHome()
  let key: string
  let council: TestCouncil
  /** holds nothing of maria */
  let outsider: TestPeer

  beforeAll(async () => {
    // Where a machine has one loopback address only, all names lead to the same one.
    const ownAddresses = process.platform === 'linux'
    council = await startCouncil({ spokes: 5, authority: 'apart', dns: ['a'], ownAddresses })
    key = gpg.makeKey('Maria <maria@example.org>')
  })
  afterAll(async () => {
    gpg[Symbol.dispose]()
    rmSync(folder, { recursive: true })
    await council?.[Symbol.asyncDispose]()
  })

  async function run(args: readonly string[], state = 'maria') {
    const ran = { exit: 0, out: '', err: '' }
    const program = new Command().exitOverride()
    bloggerCommands(program, {
      env: { PATH: process.env.PATH, GNUPGHOME: gpg.dir, XDG_STATE_HOME: join(folder, state) },
      now: Date.now,
      sleep: wait,
      readInput: async () => new Uint8Array(),
      data: (line) => {
        ran.out += line
      },
      say: (line) => {
        ran.err += `${line}\n`
      },
      exit: (code) => {
        ran.exit = code
      },
      confirm: async () => null,
    })
    await program.parseAsync(args, { from: 'user' })
    return ran
  }

  it('publishes through a spoke that holds nothing of hers, and all five serve the same bytes, which gpg accepts', async () => {
    const claimed = await run(['claim', 'maria', '--at', council.peer('b').url, '--key', key])
    expect(claimed).toMatchObject({ exit: 0, out: expect.stringContaining(`http://${host}`) })
    const { primary, secondary, none } = await council.roles('maria')
    expect([primary, secondary, none].map((each) => each.length)).toEqual([1, 2, 2])
    outsider = none.at(-1) as TestPeer

    const file = join(folder, 'post.md')
    writeFileSync(file, '# ¿Qué es un consejo?  \r\n\r\nUna red sin centro.\r\n')
    const published = await run(
      ['publish', file, '--blog', 'maria', '--lang', 'es'].concat(
        '--at',
        outsider.url,
        '--key',
        key,
      ),
    )
    expect(published).toMatchObject({ exit: 0 })
    const { seq, slug } = JSON.parse(published.out)
    expect(JSON.parse(published.out)).toMatchObject({ seq: 1, published: true, wanted: 3 })

    const served = await soon(() =>
      Promise.all(
        council.spokes.map(async (spoke) => {
          const paths = [`/log/${seq}.txt`, `/log/${seq}.txt.asc`, '/key.asc']
          const answers = await Promise.all(paths.map((path) => spoke.ask(path, host)))
          expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
          return answers.map(({ body }) => body.toString())
        }),
      ),
    )
    for (const files of served) expect(files).toEqual(served[0])
    const [text, signature, publicKey] = served[0] as [string, string, string]
    expect(text).toContain('\ntitle ¿Qué es un consejo?\n\nUna red sin centro.')
    using reader = new GpgHome()
    reader.importKey(publicKey)
    expect(reader.verify(text, signature).stdout).toMatch(new RegExp(`VALIDSIG .*${key}$`, 'm'))

    const year = new Date().getUTCFullYear()
    for (const spoke of council.spokes) {
      const page = await spoke.ask(`/${year}/${slug}`, host)
      expect([page.status, page.body.toString()]).toEqual([
        200,
        expect.stringContaining('Una red sin centro.'),
      ])
    }
  })

  it('verifies the address of a post at every spoke, also one that fetches it', async () => {
    const { http } = council.peer('b').line
    for (const spoke of council.spokes) {
      const url = `http://${host}:${http?.port}/${new Date().getUTCFullYear()}/que-es-un-consejo`
      // A spoke learns a moment later that others have the entry too.
      await soon(async () => {
        const ran = await run(['verify', url, '--at', spoke.url, '--json'])
        expect([ran.exit, ran.err]).toEqual([0, ''])
        expect(JSON.parse(ran.out)).toMatchObject({
          ...{ blog: 'maria', council: council.id, head: { seq: 1 }, copies: { published: 1 } },
          post: { state: 'shown', seq: 1, key, published: true, replicas: 3 },
        })
      })
    }
  })

  it('finds the same answers at both DNS peers', async () => {
    const dig = async (peer: TestPeer, name: string, type: string) => {
      const at = [`@${peer.dns.host}`, '-p', String(peer.dns.port), '+short', name, type]
      const { stdout } = await promisify(execFile)('dig', at)
      return stdout.trim().split('\n').sort()
    }
    const names: [string, string][] = [
      [zone, 'SOA'],
      [zone, 'NS'],
      [zone, 'A'],
      [host, 'A'],
      [host, 'TXT'],
      [`edit.${host}`, 'A'],
    ]
    await soon(async () => {
      for (const [name, type] of names) {
        const answers = await Promise.all(
          [council.authority, council.peer('a')].map((peer) => dig(peer, name, type)),
        )
        expect(answers[0]?.join(), `${name} ${type}`).not.toBe('')
        expect(answers[1]).toEqual(answers[0])
      }
    })
  })

  it.each([
    ['taken', 'maria', 'maria is taken: given to the key'],
    ['reserved', 'admin', 'The name admin is reserved. Choose another.'],
    ['malformed', 'ma--ria', '"ma--ria" cannot be a blog\'s name'],
    ['like a taken one', 'mar1a', 'looks like maria'],
  ])('is told why a name is refused that is %s, with exit code 4', async (_what, name, why) => {
    const other = gpg.makeKey(`Eva <eva-${name}@example.org>`)
    const ran = await run(['claim', name, '--at', outsider.url, '--key', other], `eva-${name}`)
    expect(ran).toMatchObject({ exit: 4, out: '' })
    expect(ran.err).toContain(why)
  })
})
