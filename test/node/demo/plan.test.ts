import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/node/config.ts'
import { checkAddresses, missingAddresses } from '../../../src/node/demo/addresses.ts'
import { peerConfig, planDemo } from '../../../src/node/demo/plan.ts'

const bootstrap = `council://blogs.localhost/${'5f'.repeat(32)}?peer=/ip4/127.0.0.10/tcp/8401/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf`

describe('planDemo', () => {
  it('gives each peer an own address and all of them the same ports', () => {
    const plan = planDemo({ spokes: 5, port: 8380 })
    expect(plan.spokes.map(({ name, host }) => `${name} ${host}`)).toEqual([
      'a 127.0.0.11',
      'b 127.0.0.12',
      'c 127.0.0.13',
      'd 127.0.0.14',
      'e 127.0.0.15',
    ])
    expect(plan).toMatchObject({ port: 8380, dnsPort: 8353, p2pPort: 8401, innerPort: 8402 })
    expect(plan.spokes.filter(({ hasDns }) => hasDns).map(({ name }) => name)).toEqual(['a'])
  })
})

describe('peerConfig', () => {
  it('is a config that starts: an authority with DNS and without pages, and spokes', () => {
    const plan = planDemo({ spokes: 20, port: 8380 })
    const authority = parseConfig(peerConfig(plan, plan.authority, null))
    expect(authority).toMatchObject({
      ok: true,
      value: { authority: { replicas: 3 }, dns: { host: '127.0.0.10', port: 8353 } },
    })
    expect(authority.ok && authority.value.spoke).toBeUndefined()
    const operators = plan.spokes.map((spoke) => {
      const config = parseConfig(peerConfig(plan, spoke, bootstrap))
      if (!config.ok) throw new Error(config.reason)
      expect(config.value.spoke).toMatchObject({ host: spoke.host, port: 8380 })
      return config.value.operator
    })
    expect(new Set(operators).size).toBe(20)
  })
})

describe('checkAddresses', () => {
  it('names the address that another program has', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.12')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(checkAddresses(planDemo({ spokes: 2, port }))).rejects.toThrow(
      `127.0.0.12:${port} is taken by another program`,
    )
    server.close()
  })
})

describe('missingAddresses', () => {
  it('gives the lines that add them', () => {
    expect(missingAddresses(['127.0.0.10', '127.0.0.11'])).toContain(
      '\n  sudo ifconfig lo0 alias 127.0.0.10 up\n  sudo ifconfig lo0 alias 127.0.0.11 up',
    )
  })
})
