import axe from 'axe-core'
import { HtmlValidate } from 'html-validate'
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Page,
  type Response,
} from 'playwright-core'
import { FrontDoor } from '../../src/node/demo/front-door.ts'
import { CouncilNames } from '../../src/node/demo/names.ts'
import type { TestCouncil } from './council.ts'
import { pathOf } from './debian.ts'

// Debian's Chromium, for people's way through the pages:
//
//     await using council = await startCouncil({ spokes: 3, ownAddresses: true })
//     await using door = await openDoor(council)
//     await using browser = await openBrowser()
//     await using visitor = await browser.visitor({ javaScript: false })
//     await visitor.open(door.url('maria', '/2026/first'))
//     expect(await visitor.problems()).toEqual([])

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** Nothing but this machine has a name: whatever tries to leave it fails, and is told below. */
const onlyHere =
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost, EXCLUDE localhost, EXCLUDE 127.*'

export type BrowserInit = {
  /** default: the one on the PATH */
  readonly executablePath?: string | null
  /** it asks DNS for every name, as the system it runs in does; see own-resolver.ts */
  readonly resolves?: boolean
}

/** One for a test file: it starts in a second, its visitors in some milliseconds. */
export async function openBrowser({
  executablePath = pathOf('chromium'),
  resolves = false,
}: BrowserInit = {}): Promise<TestBrowser> {
  if (executablePath === null) throw new Error('there is no chromium: skipIf(!has("chromium"))')
  const args = resolves ? flags : [...flags, onlyHere]
  return new TestBrowser(await chromium.launch({ executablePath, args }))
}

export type VisitorInit = {
  readonly colorScheme?: 'light' | 'dark'
  /** CSS pixels; default 1280 */
  readonly width?: number
  /** `false`: as somebody who has switched scripts off */
  readonly javaScript?: boolean
}

export class TestBrowser {
  readonly #browser: Browser

  constructor(browser: Browser) {
    this.#browser = browser
  }

  /** Somebody new: no cookies, nothing kept. */
  async visitor({ colorScheme = 'light', width = 1280, javaScript = true }: VisitorInit = {}) {
    const context = await this.#browser.newContext({
      colorScheme,
      viewport: { width, height: 800 },
      javaScriptEnabled: javaScript,
    })
    const visitor = new Visitor(context, await context.newPage())
    await visitor.watch()
    return visitor
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
  }
}

// What runs in the page stands here as text: the rest of the program knows no DOM.
const reportViolations = `document.addEventListener('securitypolicyviolation', (event) => {
  reportViolation([event.violatedDirective, event.blockedURI, event.sample].join(' '))
})`
// All that axe runs by itself, and the size of targets, which it leaves to the caller.
const runAxe = `axe
  .run(document, { rules: { 'target-size': { enabled: true } } })
  .then(({ violations }) => violations)`
type AxeViolation = {
  readonly id: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

const validator = new HtmlValidate({ extends: ['html-validate:recommended'], root: true })

/** One person's browser, watched. */
export class Visitor {
  readonly page: Page
  readonly context: BrowserContext
  /**
   * What must not happen, whatever the page: a violation of its policy, an error in its script, a
   * dialog, a request that leaves this machine.
   */
  readonly incidents: string[] = []
  /** Addresses that pages loaded or called by themselves. A page for readers needs none. */
  readonly loaded: string[] = []
  #source = ''

  constructor(context: BrowserContext, page: Page) {
    this.context = context
    this.page = page
  }

  async watch(): Promise<void> {
    const { context, page } = this
    await context.exposeBinding('reportViolation', (_, words: string) => {
      this.incidents.push(`policy: ${words}`)
    })
    await context.addInitScript(reportViolations)
    context.on('request', (request) => {
      const url = new URL(request.url())
      if (!isHere(url)) this.incidents.push(`request: ${url}`)
      if (!request.isNavigationRequest()) this.loaded.push(url.href)
    })
    // Without scripts nobody hears the event; the console still tells.
    context.on('console', (message) => {
      const words = message.text()
      const isStatus = words.startsWith('Failed to load resource: the server responded with')
      if (['error', 'warning'].includes(message.type()) && !isStatus) {
        this.incidents.push(`console: ${words}`)
      }
    })
    context.on('weberror', (error) => this.incidents.push(`script: ${error.error()}`))
    page.on('dialog', async (dialog) => {
      this.incidents.push(`dialog: ${dialog.message()}`)
      await dialog.dismiss()
    })
  }

  /** Goes to an address; its status, and the HTML as it was sent. */
  async open(url: string): Promise<{ readonly status: number; readonly source: string }> {
    return this.#arrive(await this.page.goto(url))
  }

  /** Does what leads to another page, a click or a submit, and waits for it. */
  async follow(act: () => Promise<unknown>) {
    const [answer] = await Promise.all([
      this.page.waitForEvent('response', (response) => {
        const isPage = response.request().isNavigationRequest()
        return isPage && response.frame() === this.page.mainFrame() && !isRedirect(response)
      }),
      act(),
    ])
    await this.page.waitForLoadState()
    return this.#arrive(answer)
  }

  async #arrive(answer: Response | null) {
    this.#source = (await answer?.text()) ?? ''
    return { status: answer?.status() ?? 0, source: this.#source }
  }

  /**
   * Everything that is wrong with the page as it stands: incidents since the last time, its HTML,
   * axe-core with all its rules in both colour schemes, and sideways scrolling on a phone of 320
   * pixels.
   */
  async problems(): Promise<string[]> {
    const { page } = this
    const { results } = await validator.validateString(this.#source)
    const ofHtml = results.flatMap(({ messages }) =>
      messages.map(({ ruleId, message, line }) => `html: ${ruleId}: ${message} (line ${line})`),
    )
    // A page that waits would go on to its next self under the eyes of axe.
    await page.evaluate('window.stop()')
    // After this the page is no longer as the reader has it.
    const before = this.incidents.splice(0)
    const ofAxe: string[] = []
    // By the debugger, past the page's policy, which stays as it is.
    await page.evaluate(axe.source)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      ofAxe.push(...(await this.#axe()).map((words) => `axe, ${colorScheme}: ${words}`))
    }
    const size = page.viewportSize()
    await page.setViewportSize({ width: 320, height: 640 })
    const wide = await page.evaluate<number>('document.documentElement.scrollWidth')
    if (size !== null) await page.setViewportSize(size)
    await page.emulateMedia({ colorScheme: null })
    return [...before, ...ofHtml, ...ofAxe, ...(wide > 320 ? [`phone: ${wide} px wide`] : [])]
  }

  async #axe(): Promise<string[]> {
    const violations = await this.page.evaluate<AxeViolation[]>(runAxe)
    return violations.flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ''}`),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close()
  }
}

const isRedirect = (response: Response) => response.status() >= 300 && response.status() < 400

function isHere({ protocol, hostname }: URL): boolean {
  return (
    ['data:', 'blob:', 'about:'].includes(protocol) ||
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  )
}

/**
 * Leads a browser to the council's spokes as its real DNS answers say. Chromium takes every
 * `*.localhost` name for 127.0.0.1, as a secure context; there the demo's front door looks the name
 * up and passes the request to the address it gets. The council needs `ownAddresses`.
 *
 * @param keepMs - how long an answer of DNS is used again; 0: each request asks anew
 */
export async function openDoor(council: TestCouncil, keepMs = 1_000): Promise<Door> {
  const servers = council.peers
    .filter((peer) => peer.isRunning && peer.line.dns !== null)
    .map(({ dns }) => `${dns.host}:${dns.port}`)
  const port = council.spokes[0]?.line.http?.port ?? 0
  const names = new CouncilNames(servers, Date.now, { keepMs })
  const door = new FrontDoor({ names }, { host: '127.0.0.1', port })
  await door.start()
  return new Door(door, council.id.slice(0, council.id.indexOf('/')), port)
}

export class Door {
  readonly #door: FrontDoor
  readonly #zone: string
  readonly #port: number

  constructor(door: FrontDoor, zone: string, port: number) {
    this.#door = door
    this.#zone = zone
    this.#port = port
  }

  /** @param label - `maria`, `edit.maria`, `a.spoke`; the zone itself when empty */
  url(label: string, path = '/'): string {
    return `http://${label === '' ? '' : `${label}.`}${this.#zone}:${this.#port}${path}`
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#door[Symbol.asyncDispose]()
  }
}
