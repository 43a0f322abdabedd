import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { processIo } from '../../src/node/blogger/io.ts'
import { readConfig } from '../../src/node/config.ts'
import { type InitOptions, init } from '../../src/node/init.ts'
import { startCouncil } from '../support/council.ts'
import { startMember } from '../support/member.ts'

/** `init --join` into a folder of its own; what it said, and the bootstrap address it wrote. */
async function tryInit(options: Partial<InitOptions>, isYes: boolean | null) {
  const dir = await mkdtemp(join(tmpdir(), 'council-bare-'))
  const said: string[] = []
  const io = {
    ...processIo,
    say: (line: string) => void said.push(line),
    confirm: async () => isYes,
  }
  const usual = { host: '127.0.0.1', port: 8380, p2pPort: 4001, dnsPort: 5353, name: 'new' }
  try {
    const failed = await init({ ...usual, dir, ...options }, io).then(
      () => null,
      ({ exit, message }) => ({ exit, message }),
    )
    const config = await readConfig(join(dir, 'council.json'), {})
    const isWritten = await stat(join(dir, 'data')).then(
      () => true,
      () => false,
    )
    const bootstrap =
      config.ok && 'bootstrap' in config.value.council ? config.value.council.bootstrap : null
    return { failed, said: said.join('\n'), bootstrap, isWritten }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

describe('joining by a bare address', () => {
  it('shows zone, id and authority, writes what was said yes to, and leads into that council', async () => {
    await using council = await startCouncil({ spokes: 2, authority: 'apart' })
    const [address = ''] = council.peer('a').line.addresses
    const bare = address.replace(/\/p2p\/.*/, '')
    const id = council.id.slice(council.id.indexOf('/') + 1)
    for (const at of [bare, address]) {
      const asked = await tryInit({ join: at }, true)
      expect(asked).toMatchObject({ failed: null, isWritten: true })
      expect(asked.bootstrap).toBe(`council://${council.id}?peer=${address}`)
      for (const word of [council.id, council.authority.line.peerId])
        expect(asked.said).toContain(word)
    }
    // What it wrote is an address like any other.
    const told = await tryInit({ join: bare, council: id }, null)
    const joined = await council.join('d', told.bootstrap as string)
    expect(joined.line.council).toBe(council.id)

    for (const [options, isYes, exit] of [
      [{}, false, 'refused'],
      [{}, null, 'usage'],
      [{ council: '5f'.repeat(32) }, true, 'refused'],
    ] as const) {
      const no = await tryInit({ join: bare, ...options }, isYes)
      expect(no).toMatchObject({ failed: { exit }, bootstrap: null, isWritten: false })
    }
    const { peerId } = council.peer('b').line
    const wrong = await tryInit({ join: `${bare}/p2p/${peerId}`, yes: true }, null)
    expect(wrong).toMatchObject({ failed: { exit: 'unreachable' }, isWritten: false })
  })

  it('says what is wrong where no council is', async () => {
    await using stack = new AsyncDisposableStack()
    const peer = await startMember(stack)
    const [address = ''] = peer.addresses()
    const alone = await tryInit({ join: address, yes: true }, null)
    expect(alone).toMatchObject({ failed: { exit: 'unreachable' }, isWritten: false })
    const liar = await startMember(stack)
    liar.network().handle('/council/join/1', async () => ({
      entries: [[Buffer.from('council-act 1\n'), Buffer.alloc(64), []]],
      more: false,
    }))
    const lied = await tryInit({ join: liar.addresses()[0] as string, yes: true }, null)
    expect(lied).toMatchObject({ failed: { exit: 'refused' }, isWritten: false })
    const gone = await tryInit({ join: '/ip4/127.0.0.1/tcp/1', yes: true }, null)
    expect(gone).toMatchObject({ failed: { exit: 'unreachable' }, isWritten: false })
  })
})
