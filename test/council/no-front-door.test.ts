import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DemoPeers } from '../../src/node/demo/peers.ts'
import { planDemo } from '../../src/node/demo/plan.ts'
import { press } from '../support/author-pages.ts'
import { openBrowser, type TestBrowser, type Visitor } from '../support/browser.ts'
import { soon } from '../support/council.ts'
import { has, pathOf } from '../support/debian.ts'
import { freeDemoPort } from '../support/demo-port.ts'
import { GpgHome } from '../support/gpg.ts'
import { hasOwnResolver, withResolver } from '../support/own-resolver.ts'
import { replicasOf } from '../torture/checker.ts'

// No front door, no *.localhost: Chromium asks the council's own DNS servers for every name, as a
// reader's machine does, and talks to the address that it gets.
const plan = {
  ...planDemo({ spokes: 4, port: await freeDemoPort(), silenceMs: 2_000 }),
  ...{ zone: 'blogs.test', dnsPort: 53 },
}
const isWhole = ['chromium', 'gpg', 'unshare', 'getent'].every(has)
const canHave = isWhole && (await hasOwnResolver(plan.authority.host))

describe.skipIf(!canHave)('a browser that finds the council by its DNS alone', () => {
  let folder: string
  let peers: DemoPeers
  let browser: TestBrowser
  const gpg = new GpgHome()
  const places = plan.spokes.map(({ name, host }) => ({ name, url: `http://${host}:${plan.port}` }))
  const servers = [plan.authority, ...plan.spokes].filter(({ hasDns }) => hasDns)
  const url = (label: string, path = '/') =>
    `http://${label === '' ? '' : `${label}.`}${plan.zone}:${plan.port}${path}`

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-resolver-'))
    peers = new DemoPeers({
      ...{ plan, folder, env: process.env, signal: new AbortController().signal },
      ...{ readyMs: 60_000, lost: () => undefined },
    })
    await peers.relays.start()
    const { bootstrap } = await (await peers.start(plan.authority, null)).ready
    await Promise.all(plan.spokes.map((spoke) => peers.start(spoke, bootstrap)))
    const hosts = servers.map(({ host }) => host)
    const chromium = withResolver(folder, hosts, pathOf('chromium') as string)
    browser = await openBrowser({ executablePath: chromium, resolves: true })
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await peers?.[Symbol.asyncDispose]()
    gpg[Symbol.dispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const fill = (visitor: Visitor, label: string, text: string) =>
    visitor.page.getByLabel(label, { exact: false }).first().fill(text)
  const words = async ({ page }: Visitor) => (await page.locator('main').textContent()) ?? ''
  const code = async ({ page }: Visitor, hasText: string) =>
    (await page.locator('pre code', { hasText }).first().textContent()) ?? ''
  /** What the machine's own resolver says in the same namespace. */
  const resolve = (name: string) => {
    const getent = withResolver(folder, [servers[0]?.host ?? ''], pathOf('getent') as string)
    const { stdout } = spawnSync(getent, ['ahostsv4', name])
    return new Set(stdout.toString().match(/^127\.[0-9.]+/gm))
  }

  it('publishes although the primary is killed while the editor is open, and loses no text', async () => {
    const key = gpg.makeKey('kim <kim@example.org>', 'ed25519')
    gpg.addSubkey(key, 'cv25519', 'encr')
    await using visitor = await browser.visitor()
    const { page } = visitor
    // A blog of her own, by what DNS gives for the zone.
    await soon(async () => {
      expect((await visitor.open(url('', '/start'))).status).toBe(200)
    })
    await fill(visitor, 'Your public key', gpg.exportKey(key))
    await fill(visitor, 'Your gpg id', 'kim@example.org')
    await press(visitor, 'Go on')
    const message = await code(visitor, '-----BEGIN PGP MESSAGE')
    const decrypted = gpg.run(['-qd'], { input: message }).stdout
    await fill(visitor, 'The code', /^code: (.*)$/m.exec(decrypted)?.[1] ?? '')
    await press(visitor, 'Log in')
    await fill(visitor, 'Name of the blog', 'kim')
    await press(visitor, 'Ask for this name')
    await fill(visitor, 'The signature', gpg.sign(await code(visitor, 'council-entry 1'), key))
    await press(visitor, 'Ask for the name')
    await soon(async () => expect(await words(visitor)).toContain('Write your first post'))
    await visitor.follow(() =>
      page.getByRole('link', { name: 'Write your first post' }).first().click(),
    )
    expect(new URL(page.url()).hostname).toBe(`edit.kim.${plan.zone}`)

    // The editor is open, half the text is written, and the primary dies.
    await fill(visitor, 'Title', 'In the middle of it')
    await fill(visitor, 'Text', 'A text that must survive.')
    const before = await replicasOf('kim', places)
    const dead = before.find(({ role }) => role === 'primary')?.place.name as string
    const deadHost = plan.spokes.find(({ name }) => name === dead)?.host as string
    expect(resolve(`edit.kim.${plan.zone}`)).toContain(deadHost)
    await peers.get(dead)?.kill()

    // What she sees from here on never lacks her text.
    await press(visitor, 'Preview')
    expect(await page.locator('article').textContent()).toContain('A text that must survive.')
    await press(visitor, 'Sign and publish')
    const text = await code(visitor, 'council-entry 1')
    expect(text).toContain('A text that must survive.')
    const signed = gpg.sign(text, key)
    await fill(visitor, 'The signature', signed)
    await press(visitor, 'Publish')
    // Each time that it cannot be published yet, the page still has the text and the signature.
    const kept: boolean[] = []
    await expect
      .poll(
        async () => {
          if (!page.url().endsWith('/sign')) return words(visitor)
          const signature = await page.getByLabel('The signature').inputValue()
          const isKept = (await code(visitor, 'council-entry 1')) === text
          kept.push(isKept && signature.includes(signed.trim()))
          await press(visitor, 'Publish')
          return words(visitor)
        },
        { timeout: 40_000, interval: 500 },
      )
      .toMatch(/Published\./)
    expect(kept).not.toContain(false)

    // DNS has followed: writers are led to the new primary, readers to a copy, nobody to the dead.
    const after = await replicasOf('kim', places)
    const led = after.find(({ role }) => role === 'primary')?.place.url ?? ''
    await soon(() => {
      const addresses = resolve(`edit.kim.${plan.zone}`)
      expect(addresses).toContain(new URL(led).hostname)
      expect(addresses).not.toContain(deadHost)
      expect(resolve(`kim.${plan.zone}`)).not.toContain(deadHost)
    })
    await using reader = await browser.visitor({ javaScript: false })
    const year = new Date().getUTCFullYear()
    await soon(async () => {
      await reader.open(url('kim', `/${year}/in-the-middle-of-it`))
      expect(await words(reader)).toContain('A text that must survive.')
    })
  })
})
