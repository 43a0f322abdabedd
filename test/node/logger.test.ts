import { describe, expect, it } from 'vitest'
import type { LogLevel } from '../../src/node/config-schema.ts'
import { createLogger } from '../../src/node/logger.ts'

function record(level: LogLevel) {
  const lines: Record<string, unknown>[] = []
  const logger = createLogger(level, { write: (line) => void lines.push(JSON.parse(line)) })
  return { logger, lines }
}

describe('createLogger', () => {
  it('writes an event with its fields as one line of JSON, errors with their stack', () => {
    const { logger, lines } = record('info')
    const log = logger.forComponent('council:sync')
    log.info('gap', { blog: 'maria', have: 41, want: 45 })
    log.error('store-failed', { cause: new Error('disk full') })
    expect(lines).toMatchObject([
      { level: 'info', component: 'council:sync', msg: 'gap', blog: 'maria', have: 41, want: 45 },
      { level: 'error', msg: 'store-failed', cause: expect.stringContaining('disk full') },
    ])
    expect(lines[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  it('writes nothing below its level', () => {
    const { logger, lines } = record('warn')
    const log = logger.forComponent('council:dns')
    log.info('listening')
    log('listening')
    log.trace('question')
    log.warn('slow')
    expect(lines.map(({ msg }) => msg)).toEqual(['slow'])
    expect(log.enabled).toBe(false)
  })

  it('hears libp2p at debug only, its errors too, and fills in its printf marks', () => {
    const quiet = record('info')
    quiet.logger.forComponent('libp2p:tcp').error('cannot dial %a', 'x')
    expect(quiet.lines).toEqual([])

    const { logger, lines } = record('debug')
    const log = logger.forComponent('libp2p').newScope('tcp')
    log('dialled %p in %d ms: %o, 100%%', new URL('peer:12D3KooWx'), 12, { ok: true }, 'more')
    log.error('failed - %e', new Error('refused'))
    log.trace('frame')
    expect(lines).toMatchObject([
      {
        level: 'debug',
        component: 'libp2p:tcp',
        msg: 'dialled peer:12D3KooWx in 12 ms: {"ok":true}, 100% more',
      },
      { level: 'debug', msg: expect.stringContaining('failed - Error: refused') },
    ])
    expect(lines).toHaveLength(2)
  })
})
