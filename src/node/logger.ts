import type { Logger as LibraryLog } from '@libp2p/interface'
import { pino } from 'pino'
import pretty from 'pino-pretty'
import type { LogLevel } from './config-schema.ts'

export type LogFields = Readonly<Record<string, unknown>>

/**
 * One component's log: an event name without blanks, and fields. `error`: an operator must act;
 * `warn`: somebody may have to; `info`: state changed; `trace`: per message. Never a secret or a
 * whole post.
 *
 * It is libp2p's own type too, so that libp2p's lines and ours come out alike.
 */
export type ComponentLog = LibraryLog & {
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}
/** A `ComponentLogger` of libp2p's, too. */
export type Logger = { forComponent(name: string): ComponentLog }

/**
 * Log lines on stderr: JSON, or readable text where stderr is a terminal. Components whose name
 * begins with `council:` speak at the level that they choose; everybody else (libp2p) is heard at
 * debug and trace only, since its errors are mostly other peers' troubles.
 */
export function createLogger(
  level: LogLevel,
  destination: pino.DestinationStream = standardError(),
): Logger {
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )

  function forComponent(name: string): ComponentLog {
    const isOurs = name.startsWith('council:')
    const write =
      (at: 'trace' | 'debug' | 'info' | 'warn' | 'error') =>
      (first: unknown, ...rest: unknown[]) => {
        if (!root.isLevelEnabled(at)) return
        const [fields] = rest
        if (rest.length === 1 && typeof first === 'string' && isFields(fields)) {
          root[at]({ component: name, ...readable(fields) }, first)
        } else {
          root[at]({ component: name }, formatLine(first, rest))
        }
      }
    return Object.assign(write(isOurs ? 'info' : 'debug'), {
      info: write(isOurs ? 'info' : 'debug'),
      warn: write(isOurs ? 'warn' : 'debug'),
      error: write(isOurs ? 'error' : 'debug'),
      trace: write('trace'),
      enabled: root.isLevelEnabled(isOurs ? 'info' : 'debug'),
      newScope: (scope: string) => forComponent(`${name}:${scope}`),
    })
  }
  return { forComponent }
}

/** Log lines that wait for room on the disk that they go to, bytes; those beyond are dropped. */
const maxWaitingBytes = 1024 * 1024

/**
 * Written at once, so that the last line before a crash is there too. That a line cannot be written,
 * to a file on a full disk, is no reason for a crash.
 */
function standardError(): pino.DestinationStream {
  if (process.stderr.isTTY) {
    return pretty({
      destination: 2,
      sync: true,
      ignore: 'component',
      messageFormat: '{component} {msg}',
    })
  }
  const destination = pino.destination({ fd: 2, sync: true, maxLength: maxWaitingBytes })
  destination.on('error', () => undefined)
  return destination
}

function isFields(value: unknown): value is LogFields {
  const prototype = typeof value === 'object' && value !== null && Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Errors would be `{}` in JSON. */
function readable(fields: LogFields): LogFields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Error ? (value.stack ?? value.message) : value,
    ]),
  )
}

/**
 * A line in the manner of printf, as libp2p writes it: %s %d %i %o %O %j, its own %p %c %k %a (things
 * that know their own name), %b %t %m (bytes) and %e (an error). What has no place stands behind.
 */
function formatLine(first: unknown, rest: readonly unknown[]): string {
  if (typeof first !== 'string') return [first, ...rest].map(word).join(' ')
  let next = 0
  const line = first.replace(/%([a-zA-Z%])/g, (mark, letter: string) => {
    if (letter === '%') return '%'
    if (next >= rest.length) return mark
    return word(rest[next++])
  })
  return [line, ...rest.slice(next).map(word)].join(' ')
}

function word(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value !== 'object' || value === null) return String(value)
  if (!isFields(value) && !Array.isArray(value)) return String(value)
  try {
    return JSON.stringify(value)
  } catch {
    return String(value)
  }
}
