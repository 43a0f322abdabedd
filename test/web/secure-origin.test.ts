import { describe, expect, it } from 'vitest'
import { isSecureOrigin } from '../../src/web/secure-origin.ts'

const https = { origin: (host: string) => `https://${host}` }
const http = { origin: (host: string) => `http://${host}:8380` }

describe('isSecureOrigin', () => {
  it('is true wherever the spoke is reached by https', () => {
    for (const host of ['blogs.example.org', 'edit.maria.blogs.example.org', '192.0.2.7']) {
      expect(isSecureOrigin(https, host)).toBe(true)
    }
  })

  it.each(['localhost', 'blogs.localhost', 'edit.maria.blogs.localhost:8380', 'A.LOCALHOST.'])(
    'is true over http of %s',
    (host) => {
      expect(isSecureOrigin(http, host)).toBe(true)
    },
  )

  it.each([
    'blogs.example.org',
    'localhost.example.org',
    'notlocalhost',
    'localhost:x',
    'evil.example/.localhost',
    '192.0.2.7',
    '',
  ])('is false over http of %s', (host) => {
    expect(isSecureOrigin(http, host)).toBe(false)
  })
})
