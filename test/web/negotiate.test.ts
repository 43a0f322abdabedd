import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasCurrent, wantsGzip } from '../../src/web/negotiate.ts'

describe('wantsGzip', () => {
  it.each([
    [undefined, false],
    ['', false],
    ['identity', false],
    ['br, zstd', false],
    ['gzip;q=0', false],
    ['gzip;q=0.000, br', false],
    ['*;q=0', false],
    ['gzip;q=0, *', false],
    ['gzip;q=0.5, identity', false],
    ['gzip;q=0.5, identity;q=0.8', false],
    ['gzip;q=nonsense', false],
    ['gzip;q=2', false],
    ['xgzip', false],
    ['gzip', true],
    ['GZIP', true],
    ['x-gzip', true],
    ['*', true],
    ['gzip, deflate, br, zstd', true],
    ['deflate,gzip;q=1.0,*;q=0.5', true],
    ['br;q=1, gzip ; q=0.001', true],
    ['identity;q=0, gzip;q=0.1', true],
    ['gzip;q=0.5, identity;q=0.5', true],
    ['*;q=0, gzip', true],
  ])('of %j is %s', (header, wants) => {
    expect(wantsGzip(header)).toBe(wants)
  })

  it('reads any header', () => {
    fc.assert(fc.property(fc.string(), (header) => typeof wantsGzip(header) === 'boolean'))
  })
})

describe('hasCurrent', () => {
  const tag = '"ab-gzip"'
  it.each([
    [undefined, false],
    ['', false],
    ['"ab"', false],
    ['ab-gzip', false],
    ['"ab-gzip', false],
    ['"AB-GZIP"', false],
    ['W/"ab"', false],
    ['"x", "y"', false],
    [tag, true],
    [`W/${tag}`, true],
    [`"x", ${tag}`, true],
    [`"x",W/${tag},"y"`, true],
    ['*', true],
    [' * ', true],
  ])('of %j is %s', (header, has) => {
    expect(hasCurrent(header, tag)).toBe(has)
  })
})
