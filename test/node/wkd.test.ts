import { describe, expect, it } from 'vitest'
import { wkdUrls } from '../../src/node/wkd.ts'

describe('wkdUrls', () => {
  it('finds the two places that the draft gives for its example', () => {
    // draft-koch-openpgp-webkey-service-19, 3.1
    expect(wkdUrls('Joe <Joe.Doe@Example.ORG>').map(String)).toEqual([
      'https://openpgpkey.example.org/.well-known/openpgpkey/example.org/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q?l=Joe.Doe',
      'https://example.org/.well-known/openpgpkey/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q?l=Joe.Doe',
    ])
  })

  it.each([
    ['no address', 'Maria'],
    ['a fingerprint', 'AB12CD34EF56AB12CD34EF56AB12CD34EF5666A8'],
    ['an IP address', 'maria@127.0.0.1'],
    ['an IPv6 address', 'maria@[::1]'],
    ['a number', 'maria@2130706433'],
    ['a name without a dot', 'maria@localhost'],
    ['a port', 'maria@example.org:8080'],
    ['a path', 'maria@example.org/../admin'],
    ['another user', 'maria@evil@example.org#'],
  ])('asks nobody for %s', (_, gpgId) => {
    for (const url of wkdUrls(gpgId)) {
      expect(url.protocol).toBe('https:')
      expect(url.hostname).toMatch(/^(openpgpkey\.)?example\.org$/)
      expect(url.port).toBe('')
    }
    if (!gpgId.includes('example.org')) expect(wkdUrls(gpgId)).toEqual([])
  })

  it('escapes what stands before the @', () => {
    const [first] = wkdUrls("a&b=c'd@example.org")
    expect(first?.search).toBe("?l=a%26b%3Dc'd".replace("'", '%27'))
  })
})
