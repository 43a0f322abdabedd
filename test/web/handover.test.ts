import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Handovers, handoverMs } from '../../src/web/handover.ts'

const host = 'edit.maria.blogs.localhost'

describe('Handovers', () => {
  function desk() {
    const clock = { nowMs: 1_000 }
    const handovers = new Handovers({ now: () => clock.nowMs, randomBytes })
    const open = (text: string | Uint8Array, browser = 'firefox', client = '10.0.0.1') =>
      handovers.open(Buffer.from(text), { host, browser, client })
    return { clock, handovers, open }
  }

  it('show a text to its own browser and host only, and to whoever knows its token', () => {
    const { handovers, open } = desk()
    const { token } = open('text')
    expect(handovers.find(token)).not.toBeNull()
    expect(handovers.ofBrowser(token, host, 'firefox')).not.toBeNull()
    expect(handovers.ofBrowser(token, host, 'chrome')).toBeNull()
    expect(handovers.ofBrowser(token, 'edit.eva.blogs.localhost', 'firefox')).toBeNull()
  })

  it('let nobody push an author’s text out, however much waits from elsewhere', () => {
    const { handovers, open } = desk()
    const { token } = open('the author’s')
    for (let count = 0; count < 400; count++) {
      open(randomBytes(65_536), `browser ${count}`, `10.6.6.${count % 3}`)
    }
    for (let count = 0; count < 2_000; count++) open(`${count}`, 'chrome', '10.6.6.1')
    expect(handovers.find(token)).not.toBeNull()
  })

  it('let a text that is shown again wait on under the same token', () => {
    const { clock, handovers, open } = desk()
    const { token } = open('text')
    clock.nowMs += handoverMs - 1
    expect(open('text').token).toBe(token)
    expect(open('text', 'chrome').token).not.toBe(token)
    clock.nowMs += handoverMs - 1
    expect(handovers.find(token)).not.toBeNull()
    clock.nowMs += 1
    expect(handovers.find(token)).toBeNull()
  })

  it('open a text anew when something has come for it', () => {
    const { open } = desk()
    const before = open('text')
    before.arrival = { kind: 'refused', code: 'X', reason: 'No.' }
    expect(open('text').token).not.toBe(before.token)
  })
})
