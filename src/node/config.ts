import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import type { AdmissionPolicy } from '../replication/registry/act.ts'
import { conflicts } from './config-conflicts.ts'
import { override, sectionOf } from './config-override.ts'
import { type LogLevel, quote, schema } from './config-schema.ts'

/**
 * One peer's `council.json`. What the peer does follows from the sections `spoke`, `dns`,
 * `aggregator` and `authority`, of which it has at least one. It is read once: every change needs a restart.
 *
 * Any field can be set from outside, for containers: `COUNCIL_NAME=b`, `COUNCIL_SPOKE__PORT=8381`,
 * `COUNCIL_FAILOVER__SILENCE_MS=5000`, lists as JSON. Keys are files, never values of the config.
 */
export type Config = {
  /** Folder of everything that lasts: `peer.key` (mode 0600), `store/`, `gathered/`, `libp2p/`. Relative to the config's folder. Default `./data`. */
  readonly data: string
  /** This peer's label: it is `<name>.spoke.<zone>`. 1–30 of a–z, 0–9 and -. No default. */
  readonly name: string
  /** Who runs it; copies of a blog go to different operators. 1–100 characters. No default. */
  readonly operator: string
  /** The net or hosting company it stands in, free text of 1–100 characters; copies are spread over them. Default null: not said. */
  readonly network: string | null
  /** Where it stands, two capital letters (ISO 3166-1); copies are spread over them. Default null: not said. */
  readonly country: string | null
  readonly peer: {
    /** Where other peers dial in: `/ip4/…/tcp/…`, at least one; TCP port 0 takes a free one. Default `/ip4/0.0.0.0/tcp/4001`. */
    readonly listen: readonly string[]
    /** The same as seen from outside, where that differs (behind a router, or a DNS name). Default: the listen addresses. */
    readonly announce: readonly string[]
    /** IP address of this machine from which others are dialled, where it has several. Default null: the system chooses. */
    readonly dialFrom: string | null
  }
  /**
   * Either `zone`, the DNS zone of the council that this peer founds and looks after (with section
   * `authority`), or `bootstrap`, the `council://…` address of the council that it joins. No default.
   */
  readonly council: { readonly zone: string } | { readonly bootstrap: string }
  readonly web: {
    /** How absolute links begin, with `{host}` for the name: `http://{host}:8380`. Default `https://{host}`. */
    readonly origin: string
    /** Proxies in front of this spoke, IP addresses or networks like 10.0.0.0/8: from these, and from nobody else, `X-Forwarded-For` says who asks. Default: none. */
    readonly trustedProxies: readonly string[]
  }
  /** Keeps blogs and serves pages. Left out: this peer is no spoke. */
  readonly spoke?:
    | {
        /** IP address on which it serves HTTP. No default. */
        readonly host: string
        /** TCP port, 0–65535; 0 takes a free one. No default. */
        readonly port: number
        /** Where others fetch it: scheme, IP address, port. Default: host and port, if they name one address; empty with port 0, and then the port that was taken counts. */
        readonly addresses: readonly string[]
      }
    | undefined
  /** Answers DNS for the zone. Left out: this peer answers none. */
  readonly dns?:
    | {
        /** IP address on which it answers, by UDP and TCP. No default. */
        readonly host: string
        /** Port, 0–65535; 0 takes a free one. No default. */
        readonly port: number
        /** Where resolvers ask it: IP address, blank, port. Default: as `spoke.addresses`. */
        readonly addresses: readonly string[]
      }
    | undefined
  /** Gathers what the spokes of its circle have published, for the council's front page and search. Left out: this peer does not. It has no fields. */
  readonly aggregator?: Readonly<Record<string, never>> | undefined
  /** Holds the zone's key: admits spokes, gives out names. One peer of a council has it. */
  readonly authority?:
    | {
        /** Who is admitted: `open`, whoever asks; `approve`, whom the operator admits (`./council admit`), or invited; `invite`, only who was invited (`./council invite`). Default `open`. */
        readonly admission: AdmissionPolicy
        /** Copies that each blog shall have, 1–31. Written when the council is founded. Default 3. */
        readonly replicas: number
        /** Where bloggers write: `dotted`, edit.maria.<zone>, or `dashed`, edit--maria.<zone>, which a wildcard certificate covers. Written when the council is founded. Default `dotted`. */
        readonly edit: 'dotted' | 'dashed'
        /** Spokes of so many different operators that report the same of another one cut it off, 2–20; null: only `./council cutoff` does. Default null. */
        readonly cutoffReports: number | null
      }
    | undefined
  /** Key servers that are asked whether a blogger's key is revoked. */
  readonly keys: {
    /** At most 8: `hkps://keys.example.org`, or the same with https. Default none. */
    readonly servers: readonly string[]
    /** Whether the Web Key Directory at a blogger's mail domain is asked too. Default false. */
    readonly wkd: boolean
    /** Whether servers at private addresses, and `hkp://` and `http://`, may be asked: for one of your own. Default false. */
    readonly allowPrivate: boolean
  }
  readonly failover: {
    /** Silence after which a spoke counts as down, ms, 1000–600000; heartbeats go every third of it. Default 15000. */
    readonly silenceMs: number
    /** How long a spoke may be out before its copies are made anew at others, ms, 0–86400000; at once where a blog cannot publish without. Default 60000. */
    readonly replaceAfterMs: number
  }
  /** The three ways in which entries come and go; each can be switched off to test the others. */
  readonly exchange: {
    /** How often partners are asked for what is missing, ms, 200–600000. Default 30000. */
    readonly pullMs: number
    /** Default true, each. */
    readonly gossip: boolean
    readonly push: boolean
    readonly pull: boolean
  }
  /**
   * What a spoke does when the disk with `data` fills up: from so many per cent used on, each 1–100
   * and none below the one before it; it goes back to what it did two points below.
   */
  readonly disk: {
    /** It takes no new blogs; claims made here go to a spoke with room. Default 85. */
    readonly newBlogsPercent: number
    /** It takes no further copies either. Default 92. */
    readonly copiesPercent: number
    /** It asks to be replaced, and gives receipts until it is. Default 97. */
    readonly replacePercent: number
    /** Size of the file `reserve` in `data`, which makes room for what has to be written on a full disk, MiB, 0–65536. Default 64. */
    readonly reserveMiB: number
  }
  /**
   * Blogs that are read a lot. A spoke tells the authority which of those that it keeps are read at
   * least `quietPerMinute` times; the rest is the authority's to decide.
   */
  readonly load: {
    /** Reads per minute at each copy from which a blog gets one more, 1–10000000. Default 3000. */
    readonly busyPerMinute: number
    /** … below which it loses one again, counted for those that would be left; at most half of `busyPerMinute`. Default 1000. */
    readonly quietPerMinute: number
    /** How long it has to be read so much, ms, 1000–86400000. Default 120000. */
    readonly growAfterMs: number
    /** … and so little. Default 1800000. */
    readonly shrinkAfterMs: number
    /** Copies that a blog may have for its readers, 1–31; those that every blog gets it has anyway. Default 7. */
    readonly mostCopies: number
  }
  /** What this spoke takes of one blog of which it is the primary. */
  readonly limits: {
    /** Entries that may come at once, 1–100000: years of posts brought along are no flood. Default 500. */
    readonly blogBurst: number
    /** Entries per hour, once these are used up, 1–100000. Default 60. */
    readonly blogHourly: number
    /** Bytes of texts and signatures in its log, 1000000–100000000000. Default 200000000. */
    readonly blogBytes: number
  }
  readonly log: {
    /** One of silent, fatal, error, warn, info, debug, trace. Default `info`. */
    readonly level: LogLevel
  }
}

/** What is wrong with a config: all of it at once, each line with the path of its field. */
export type ConfigVerdict =
  | { readonly ok: true; readonly value: Config }
  | {
      readonly ok: false
      readonly code: 'CONFIG'
      readonly reason: string
      readonly problems: readonly string[]
    }

/**
 * Checks a config and fills in the defaults. Pure. Unknown fields are refused, and of all problems
 * each is one line: `failover.silenceMs: want 1000–600000, got 10`.
 *
 * @param env - variables `COUNCIL_…` of it override fields; see `Config`
 */
export function parseConfig(value: unknown, env: NodeJS.ProcessEnv = {}): ConfigVerdict {
  const overridden = override(value, env, schema)
  const parsed = schema.safeParse(overridden.value, { reportInput: true })
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap(problemsOf)),
    ...conflicts(overridden.value),
    ...overridden.problems,
  ]
  if (parsed.success && problems.length === 0) {
    const { council } = parsed.data
    return accept({ ...parsed.data, council: council as Config['council'] })
  }
  return { ...refuse('CONFIG', problems.join('\n')), problems }
}

/**
 * Reads, checks and completes a config file; `data` becomes absolute. Codes: CONFIG_UNREADABLE,
 * CONFIG_NOT_JSON, CONFIG (its reason has one line per problem).
 */
export async function readConfig(path: string, env: NodeJS.ProcessEnv): Promise<Verdict<Config>> {
  let content: string
  try {
    content = await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return refuse(
      'CONFIG_UNREADABLE',
      code === 'ENOENT'
        ? `There is no ${path}. Make one with: ./council init`
        : `Cannot read ${path}: ${code ?? message}.`,
    )
  }
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch (error) {
    return refuse('CONFIG_NOT_JSON', `${path} is not JSON: ${(error as Error).message}.`)
  }
  const config = parseConfig(value, env)
  if (!config.ok) return refuse(config.code, `${path} has mistakes:\n${config.reason}`)
  const data = resolve(dirname(path), config.value.data)
  return accept({ ...config.value, data })
}

function problemsOf(issue: z.core.$ZodIssue): string[] {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const here =
      path === '' ? Object.keys(schema.shape) : Object.keys(sectionOf(schema, path) ?? {})
    return issue.keys.map(
      (key) =>
        `${path === '' ? '' : `${path}.`}${key}: no such field; known here are ${here.join(', ')}`,
    )
  }
  if (issue.code !== 'invalid_type') return [`${path}: ${issue.message}`]
  return [`${path === '' ? 'the config' : path}: want an object { … }, got ${quote(issue.input)}`]
}
