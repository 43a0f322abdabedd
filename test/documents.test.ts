import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { decode } from 'cborg'
import { describe, expect, it } from 'vitest'
import { type PeerName, verifyPeer } from '../src/auth/peer-signature.ts'
import { KeyRing } from '../src/auth/public-key.ts'
import type { Verdict } from '../src/auth/verdict.ts'
import { buildZone, type RecordSet } from '../src/node/dns/zone.ts'
import { zoneInput } from '../src/node/dns/zone-keeper.ts'
import { changesFrame } from '../src/replication/aggregation/changes.ts'
import { decodeFrontPage } from '../src/replication/aggregation/front-page.ts'
import { rekeyText } from '../src/replication/log/author.ts'
import { decodeEntry, type Rekey } from '../src/replication/log/entry.ts'
import { decodeReceipt } from '../src/replication/log/receipt.ts'
import { blogRules } from '../src/replication/log/rules.ts'
import { decodeText, type EntryId, idOf, type Signed } from '../src/replication/log/text.ts'
import { recordKey } from '../src/replication/protocol.ts'
import { decodeAct } from '../src/replication/registry/act.ts'
import { decodeAnswer } from '../src/replication/registry/audit-answer.ts'
import { parseBootstrap } from '../src/replication/registry/bootstrap.ts'
import { decodeHeartbeat } from '../src/replication/registry/heartbeat.ts'
import { checkHello } from '../src/replication/registry/hello.ts'
import {
  invitationSigner,
  invitationText,
  isPresentedFor,
  parseInvitation,
  presentInvitation,
} from '../src/replication/registry/invitation.ts'
import { decodeJoin } from '../src/replication/registry/join-request.ts'
import { Names } from '../src/replication/registry/names.ts'
import { decodeOrder, verifyOrder } from '../src/replication/registry/order.ts'
import { checkProof } from '../src/replication/registry/proof.ts'
import { checkRecord } from '../src/replication/registry/registry.ts'
import { decodeReport } from '../src/replication/registry/report.ts'
import {
  checkInForce,
  foldRoster,
  type Roster,
  rosterSigner,
  voteText,
} from '../src/replication/registry/roster.ts'
import { decodePromise, decodeSeal } from '../src/replication/registry/seal.ts'

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')
const protocol = read('PROTOCOL.md')
const limits = read('LIMITS.md')
const readme = read('README.md')

const must = <T>(verdict: Verdict<T>): T => {
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`)
  return verdict.value
}

/** The block behind `<!-- <mark>: <name> -->`, and what stands between it and the next mark. */
function block(mark: string, name: string): { text: string; behind: string } {
  const start = `<!-- ${mark}: ${name} -->\n\`\`\`text\n`
  const from = protocol.indexOf(start)
  expect(from, name).toBeGreaterThan(0)
  const end = protocol.indexOf('\n```\n', from + start.length)
  const rest = protocol.slice(end + 5)
  return { text: protocol.slice(from + start.length, end), behind: rest.split('<!--')[0] ?? '' }
}

function example(name: string): Signed & { readonly id: string | undefined } {
  const { text, behind } = block('example', name)
  return {
    text: Buffer.from(text),
    signature: Buffer.from(/^signature `([^`]+)`/m.exec(behind)?.[1] ?? '', 'base64'),
    id: /^id `([^`]+)`/m.exec(behind)?.[1],
  }
}

const entryNames = ['genesis', 'profile', 'post', 'retract', 'rekey'].map((kind) => `entry-${kind}`)

/** `@roster` as the examples leave it; only its entry 0 comes with a holder's receipt. */
function exampleRoster(): Roster {
  let roster: Roster | null = null
  for (const name of ['act-council', 'act-admit', 'act-admit-b', 'act-admit-c']) {
    const { text, signature } = example(name)
    const act = must(decodeAct(text))
    expect(verifyPeer(rosterSigner(roster, act) as PeerName, text, signature), name).toBe(true)
    roster = must(foldRoster(roster, act))
    if (act.seq === 0) must(checkInForce(roster, act, [example('receipt-holder')]))
  }
  return roster as Roster
}

const proofOf = (name: string) => ({ ...example(name), receipts: [example(`${name}-receipt`)] })

function exampleNames(roster: Roster): Names {
  const names = new Names(must(checkProof(proofOf('act-names'), roster)))
  const assign = must(checkProof(proofOf('act-assign'), roster))
  must(names.check(assign))
  names.apply(assign)
  return names
}

function rowsOf(name: string, type: string, set: RecordSet): string[] {
  const values =
    set.type === 'SOA'
      ? [
          `${set.mname}. ${set.rname}. ${set.serial} ${set.refreshSeconds} ${set.retrySeconds} ${set.expireSeconds} ${set.minimumSeconds}`,
        ]
      : set.type === 'TXT'
        ? set.values.map((strings) => strings.map((each) => `"${each}"`).join(' '))
        : set.values.map((value) => (set.type === 'NS' ? `${value}.` : value))
  return values.map((value) => `${name}. ${set.ttlSeconds} IN ${type} ${value}`)
}

describe('PROTOCOL.md', () => {
  it('gives the id of each act and entry', () => {
    const named = [...protocol.matchAll(/<!-- example: ((?:act|entry)-[a-z-]+) -->/g)]
      .map(([, name]) => name as string)
      .filter((name) => !name.endsWith('-receipt'))
    expect(named).toHaveLength(11)
    for (const name of named) expect(idOf(example(name).text), name).toBe(example(name).id)
  })

  it('shows a log that each replica accepts, entry by entry', async () => {
    const { council } = exampleRoster()
    const rules = blogRules(() => council, new KeyRing())
    let state: unknown = null
    for (const name of entryNames) {
      const text = example(name).text
      const signature = Buffer.from(block('signature', name).text)
      const entry = must(rules.decode(text))
      const step = must(await rules.next(state as never, entry, { text, signature }, true))
      expect(Buffer.from(step.signature).toString(), 'is in the stored form').toBe(
        signature.toString(),
      )
      state = step.state
    }
  })

  it('shows the text that the next key signs in a rekey', () => {
    const rekey = must(decodeEntry(example('entry-rekey').text)) as Rekey
    const { text } = block('example', 'rekey-text')
    expect(Buffer.from(rekeyText(rekey.key, rekey)).toString()).toBe(text)
  })

  it('shows acts, each signed by the authority and in force', () => {
    const roster = exampleRoster()
    expect(roster.councilId).toBe(example('act-council').id)
    expect(exampleNames(roster).blogs.get('maria' as never)?.id).toBe(example('act-assign').id)
  })

  it('shows a text of each kind that a peer signs, with its signature', () => {
    const { council } = exampleRoster()
    must(decodeReceipt(example('receipt')))
    must(decodeHeartbeat(example('heartbeat')))
    must(decodeJoin(example('join')))
    must(decodePromise(example('promise')))
    must(decodeAnswer(example('answer')))
    must(decodeReport(example('report')))
    must(decodeFrontPage(example('front')))
    const [, authority] = /^authority (\S+)$/m.exec(block('example', 'act-council').text) ?? []
    must(decodeSeal(example('seal'), authority as PeerName))
    const hello = example('hello')
    const header = (name: string) =>
      new RegExp(`^${name} (.+)$`, 'm').exec(Buffer.from(hello.text).toString())?.[1] as string
    must(checkHello(hello, { council, peer: header('peer') as PeerName, nonce: header('nonce') }))
  })

  it('shows an order as its author signs it, the first of the test vectors', async () => {
    const [vector] = JSON.parse(read('test/vectors/orders.json')) as [Record<string, string>]
    const { text } = block('example', 'order')
    expect(text).toBe(vector.text)
    const order = must(decodeOrder(Buffer.from(text)))
    expect([order.council, order.act]).toEqual([exampleRoster().council, example('act-assign').id])
    const key = must(await new KeyRing().read(vector.key as string))
    must(await verifyOrder(order, block('signature', 'order').text, key))
  })

  it('shows an invitation as it is presented', async () => {
    const { text, behind } = block('example', 'invitation')
    const [, secret = '', key = '', presented = ''] =
      /secret `(.+)`, public key `(.+)`, presented as `(.+)`/.exec(behind) ?? []
    const signer = await invitationSigner(parseInvitation(secret) as Uint8Array)
    expect(signer.peer).toBe(key)
    const [, council = '', peer = ''] = /council (\S+)\npeer (\S+)$/.exec(text) ?? []
    expect(Buffer.from(invitationText(council, peer as PeerName)).toString()).toBe(text)
    expect(presentInvitation(signer, council, peer as PeerName)).toBe(presented)
    expect(isPresentedFor(presented, signer.peer, { council, peer: peer as PeerName })).toBe(true)
  })

  it('shows a vote as it is counted', () => {
    const vote = example('vote')
    const values = new Map(must(decodeText(vote.text)).headers)
    const at = {
      seq: Number(values.get('seq')),
      prev: values.get('prev') as EntryId,
      authority: values.get('authority') as PeerName,
      voter: values.get('voter') as PeerName,
    }
    expect(voteText(values.get('council') as string, at)).toEqual(vote.text)
    expect(verifyPeer(at.voter, vote.text, vote.signature)).toBe(true)
  })

  it('shows a bootstrap address, a frame, and a DHT record that its validator lets pass', () => {
    expect(parseBootstrap(block('example', 'bootstrap').text).ok).toBe(true)
    const frame = Buffer.from(block('example', 'frame-range').text, 'hex')
    expect(frame[0]).toBe(frame.length - 1)
    expect(decode(frame.subarray(1))).toEqual({ t: 'range', log: 'maria', from: 2 })
    const frameIn = (name: string) =>
      decode(Buffer.from(block('example', name).text.replaceAll('\n', ''), 'hex').subarray(1))
    expect(frameIn('frame-follow')).toEqual({ t: 'follow', after: { run: '0a', n: 6 } })
    const { changes } = changesFrame.parse(frameIn('frame-changes'))
    expect(changes).toEqual([['maria', 3, example('entry-retract').id, []]])
    const roster = exampleRoster()
    const record = Buffer.from(block('example', 'record').text, 'base64')
    const key = recordKey(roster.councilId, 'maria')
    must(checkRecord(key, record, roster, Date.parse('2026-11-23T04:00:00Z')))
  })

  it('shows the zone that follows from the example’s acts', () => {
    const roster = exampleRoster()
    const zone = buildZone(zoneInput(roster, exampleNames(roster)))
    const shown = block('example', 'zone').text.split('\n')
    const asked = new Set(
      shown.map((line) => line.split(' ').toSpliced(1, 2).slice(0, 2).join(' ')),
    )
    const real = [...asked].flatMap((each) => {
      const [name = '', type = ''] = each.split(' ')
      const found = zone.lookup(name.slice(0, -1), type)
      return found.kind === 'records' ? rowsOf(name.slice(0, -1), type, found.set) : []
    })
    expect(shown).toEqual(real)
  })

  it('lists every code that is not a 400, with its status', () => {
    const listed = protocol.split('A refusal is 400 unless listed: ')[1]?.split('\n')[0] ?? ''
    const inDocument = [...listed.matchAll(/([0-9]{3}) \(([^)]+)\)/g)].flatMap(
      ([, status, codes = '']) => codes.split(', ').map((code) => `${code} ${status}`),
    )
    const source = read('src/web/errors.ts')
    const inCode = [...source.matchAll(/^ {2}([A-Z_]+): ([0-9]{3}),/gm)].map(
      ([, code, status]) => `\`${code}\` ${status}`,
    )
    expect(new Set(inDocument)).toEqual(new Set(inCode))
  })

  it('names only refusal codes that the program knows', () => {
    const source = ['auth', 'replication', 'web', 'node'].map(sourceOf).join('\n')
    const codes = new Set(
      [...protocol.matchAll(/`([A-Z]+_[A-Z_]*[A-Z])`/g)].map(([, code]) => code),
    )
    const unknown = [...codes].filter(
      (code) => !source.includes(`'${code}'`) && !source.includes(`${code}:`),
    )
    expect(unknown).toEqual([])
  })
})

/** Every line of a folder of src, for a look whether a word stands there. */
function sourceOf(folder: string): string {
  const names = sources.filter((name) => name.startsWith(`src/${folder}/`))
  return names.map(read).join('\n')
}

const sources = readdirSync(new URL('../src', import.meta.url), { recursive: true })
  .map((path) => `src/${path}`)
  .filter((path) => path.endsWith('.ts'))

const units: Readonly<Record<string, number>> = {
  KiB: 1024,
  MiB: 1024 ** 2,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
}

describe('LIMITS.md', () => {
  const row = /^\| [^|]+ \| ([0-9][0-9,]*)(?: ([a-zA-Z]+))? \| `([a-zA-Z]+)` in `(src\/[^`]+)` \|/gm
  const rows = [...limits.matchAll(row)].map(
    ([, number = '', unit = '', name = '', file = '']) => ({
      name,
      file,
      value:
        (Number(number.replaceAll(',', '')) * (units[unit] ?? 1)) /
        (name.endsWith('Seconds') ? 1_000 : 1),
    }),
  )

  it('has a row for most limits', () => {
    expect(rows.length).toBeGreaterThan(60)
  })

  it.each(rows)('gives $name of $file the value that the code has', ({ name, file, value }) => {
    const found = new RegExp(`\\b${name} = ([0-9_* ]+)`).exec(read(file))?.[1] ?? ''
    const real = found
      .split('*')
      .reduce((product, each) => product * Number(each.replaceAll('_', '')), 1)
    expect(real).toBe(value)
  })

  it('names only files that exist', () => {
    for (const [, file = ''] of limits.matchAll(/`(src\/[^`]+)`/g)) {
      expect(existsSync(new URL(`../${file}`, import.meta.url)), file).toBe(true)
    }
  })
})

describe('README.md', () => {
  /** Command → the options that the document uses with it. */
  const used = new Map<string, Set<string>>()
  for (const [, code = ''] of readme.matchAll(/```sh\n([\s\S]*?)```/g)) {
    for (const line of code.replaceAll('\\\n', ' ').split('\n')) {
      const [, command, rest = ''] = /\.\/council ([a-z]+)(.*)/.exec(line) ?? []
      if (command === undefined) continue
      const options = used.get(command) ?? new Set<string>()
      for (const [option] of rest.matchAll(/(?<=\s)--?[a-z][a-z0-9-]*/g)) options.add(option)
      used.set(command, options)
    }
  }

  it('uses every command that the program has', async () => {
    const { stdout } = await council('--help')
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name]) => name)
    expect(new Set(used.keys())).toEqual(new Set(commands.filter((name) => name !== 'help')))
  })

  it.each([...used])('uses only options that %s has', async (command, options) => {
    const { stdout } = await council(command, '--help')
    for (const option of options) expect(stdout).toContain(option)
  })

  it('names every code of a ReplicationError', () => {
    const codes = [...read('src/replication/errors.ts').matchAll(/^ {2}\| '([A-Z_]+)'/gm)]
    expect(codes.length).toBeGreaterThan(0)
    for (const [, code] of codes) expect(readme).toContain(`\`${code}\``)
  })

  it('names every dependency', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: object }
    for (const name of Object.keys(dependencies)) expect(readme).toContain(`\`${name}\``)
  })

  it('names every field of the config', () => {
    const example = JSON.parse(read('council.example.json')) as Record<string, unknown>
    for (const [name, value] of Object.entries(example)) {
      const inner = value !== null && typeof value === 'object' ? Object.keys(value) : []
      const fields = inner.length === 0 ? [name] : inner.map((each) => `${name}.${each}`)
      for (const field of fields) expect(readme).toContain(`\`${field}\``)
    }
  })
})

describe('ARCHITECTURE.md', () => {
  it('names only files that exist', () => {
    const architecture = read('ARCHITECTURE.md')
    for (const [, path = ''] of architecture.matchAll(
      /`((?:auth|replication|web|node)\/[a-z/-]+\.ts)`/g,
    )) {
      expect(sources, path).toContain(`src/${path}`)
    }
  })
})

const council = (...args: string[]) =>
  promisify(execFile)(new URL('../council', import.meta.url).pathname, args)
