import { isIP } from 'node:net'
import { z } from 'zod'
import { cutText } from '../auth/cut-text.ts'
import { defaultDoorLimits } from '../replication/exchange/rates.ts'
import { isAddress, isDns, isWeb } from '../replication/log/peer-text.ts'
import { decodeText, encodeText, isZone } from '../replication/log/text.ts'
import { maxReplicas } from '../replication/protocol.ts'
import { memberFields } from '../replication/registry/act.ts'
import { parseBootstrap } from '../replication/registry/bootstrap.ts'
import { parseNetwork } from '../web/client.ts'
import { defaultLoad } from './authority/demand.ts'

/** From the least to the most talkative. */
export const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof logLevels)[number]

// Each field: what is wanted, in the words of the refusal, and the check of it.

function field<T>(want: string, is: (value: unknown) => boolean) {
  return z.custom<T>(is, { error: (issue) => `want ${want}, got ${quote(issue.input)}` })
}

const whole = (least: number, most: number) =>
  field<number>(
    `${least}–${most}`,
    (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  )
const text = (want: string, is: (value: string) => boolean) =>
  field<string>(want, (value) => typeof value === 'string' && is(value))
const flag = field<boolean>('true or false', (value) => typeof value === 'boolean')
const choice = <T extends string>(...allowed: readonly T[]) =>
  field<T>(`one of ${allowed.join(', ')}`, (value) => allowed.includes(value as T))
const list = (want: string, least: number, is: (value: string) => boolean) =>
  field<string[]>(
    `a list of ${least === 0 ? '' : 'at least one of '}${want}`,
    (value) =>
      Array.isArray(value) &&
      value.length >= least &&
      value.every((each) => typeof each === 'string' && is(each)),
  )

/** What `@roster` will hold is checked here as there, so that a request to join never fails by it. */
const member = (name: string, want: string) => {
  const wrong = memberFields.find((each) => each.name === name)?.wrong ?? (() => null)
  return text(want, (value) => isHeaderValue(value) && wrong(value) === null)
}
const nullable = <T>(want: string, inner: z.ZodType<T>) =>
  field<T | null>(
    `${want}, or null`,
    (value) => value === null || inner.safeParse(value).success,
  ).default(null)

const ipAddress = text('an IP address', (value) => isIP(value) !== 0)
const port = whole(0, 65_535)
const peerAddress = (value: string) => isAddress(value) === null
const peerAddressWanted = 'addresses like /ip4/192.0.2.7/tcp/4001'

/** Each sign-up asks all of them. */
const maxKeyServers = 8
const isKeyServer = (value: string) => {
  if (!/^(hkps?|https?):\/\/[a-z0-9.:[\]-]+$/.test(value)) return false
  const url = URL.parse(value.replace(/^hkp/, 'http'))
  return url !== null && url.hostname !== '' && value.endsWith(`//${url.host}`)
}

const bracketed = (host: string) => (isIP(host) === 6 ? `[${host}]` : host)

const spoke = z
  .strictObject({
    host: ipAddress,
    port,
    addresses: list(
      'addresses like http://192.0.2.7:80',
      0,
      (value) => isWeb(value) === null,
    ).default([]),
  })
  .transform(({ host, port: number, addresses }) => ({
    host,
    port: number,
    addresses:
      addresses.length === 0 && number !== 0 ? [`http://${bracketed(host)}:${number}`] : addresses,
  }))
const dns = z
  .strictObject({
    host: ipAddress,
    port,
    addresses: list('"192.0.2.7 53"', 0, (value) => isDns(value) === null).default([]),
  })
  .transform(({ host, port: number, addresses }) => ({
    host,
    port: number,
    addresses: addresses.length === 0 && number !== 0 ? [`${host} ${number}`] : addresses,
  }))

const sections = {
  peer: z
    .strictObject({
      listen: list(peerAddressWanted, 1, peerAddress).default(['/ip4/0.0.0.0/tcp/4001']),
      announce: list(peerAddressWanted, 0, peerAddress).default([]),
      dialFrom: nullable('an IP address', ipAddress),
    })
    .prefault({}),
  council: z.strictObject({
    zone: text('a lower-case DNS name', (value) => isZone(value) === null).optional(),
    bootstrap: text(
      'a bootstrap address like council://<zone>/<council id>?peer=/ip4/…/tcp/…/p2p/12D3Koo…',
      (value) => parseBootstrap(value).ok,
    ).optional(),
  }),
  web: z
    .strictObject({
      origin: text('http:// or https://, then {host} and perhaps a port', (value) =>
        /^https?:\/\/\{host\}(:[1-9][0-9]{0,4})?$/.test(value),
      ).default('https://{host}'),
      trustedProxies: list(
        'IP addresses or networks like 10.0.0.0/8',
        0,
        (value) => parseNetwork(value) !== null,
      ).default([]),
    })
    .prefault({}),
  spoke: spoke.optional(),
  dns: dns.optional(),
  aggregator: z.strictObject({}).optional(),
  authority: z
    .strictObject({
      admission: choice('open', 'approve', 'invite').default('open'),
      replicas: whole(1, maxReplicas).default(3),
      edit: choice('dotted', 'dashed').default('dotted'),
      cutoffReports: nullable('2–20', whole(2, 20)),
    })
    .optional(),
  keys: z
    .strictObject({
      servers: list(
        `key servers like hkps://keys.example.org, ${maxKeyServers} at most`,
        0,
        isKeyServer,
      )
        .refine(({ length }) => length <= maxKeyServers, {
          error: `want at most ${maxKeyServers} servers`,
        })
        .default([]),
      wkd: flag.default(false),
      allowPrivate: flag.default(false),
    })
    .prefault({}),
  failover: z
    .strictObject({
      silenceMs: whole(1_000, 600_000).default(15_000),
      replaceAfterMs: whole(0, 86_400_000).default(60_000),
    })
    .prefault({}),
  exchange: z
    .strictObject({
      pullMs: whole(200, 600_000).default(30_000),
      gossip: flag.default(true),
      push: flag.default(true),
      pull: flag.default(true),
    })
    .prefault({}),
  disk: z
    .strictObject({
      newBlogsPercent: whole(1, 100).default(85),
      copiesPercent: whole(1, 100).default(92),
      replacePercent: whole(1, 100).default(97),
      reserveMiB: whole(0, 65_536).default(64),
    })
    .prefault({}),
  load: z
    .strictObject({
      busyPerMinute: whole(1, 10_000_000).default(defaultLoad.busyPerMinute),
      quietPerMinute: whole(1, 10_000_000).default(defaultLoad.quietPerMinute),
      growAfterMs: whole(1_000, 86_400_000).default(defaultLoad.growAfterMs),
      shrinkAfterMs: whole(1_000, 86_400_000).default(defaultLoad.shrinkAfterMs),
      mostCopies: whole(1, maxReplicas).default(defaultLoad.mostCopies),
    })
    .prefault({}),
  limits: z
    .strictObject({
      blogBurst: whole(1, 100_000).default(defaultDoorLimits.blogBurst),
      blogHourly: whole(1, 100_000).default(defaultDoorLimits.blogHourly),
      blogBytes: whole(1_000_000, 100_000_000_000).default(defaultDoorLimits.blogBytes),
    })
    .prefault({}),
  log: z.strictObject({ level: choice(...logLevels).default('info') }).prefault({}),
}
const fields = {
  data: text('the path of a folder', (value) => value !== '' && !value.includes('\0')).default(
    './data',
  ),
  name: member('name', 'a label of 1–30 of a–z, 0–9 and -'),
  operator: member('operator', '1–100 characters without outer blanks'),
  network: nullable(
    '1–100 characters without outer blanks',
    member('network', '1–100 characters without outer blanks'),
  ),
  country: nullable('two capital letters', member('country', 'two capital letters')),
}
/** The form of `council.json`: each field by itself, with its default. */
export const schema = z.strictObject({ ...fields, ...sections })

/** Whether a value may stand in a header line of a signed text. */
function isHeaderValue(value: string): boolean {
  const line = encodeText({ first: 'council', headers: [['value', value]], body: null })
  const read = decodeText(line)
  return read.ok && read.value.body === null && read.value.headers.length === 1
}

/** A value as a message quotes it. */
export function quote(value: unknown): string {
  if (value === undefined) return 'nothing'
  const json = JSON.stringify(value)
  return json.length > 80 ? `${cutText(json, 77)}…` : json
}
