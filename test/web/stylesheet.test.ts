import { describe, expect, it } from 'vitest'
import { stylesheet } from '../../src/web/stylesheet.ts'

/** The named colours of one scheme; the dark one stands behind its media query. */
function coloursOf(part: string): ReadonlyMap<string, string> {
  const found = [...part.matchAll(/--([a-z]+): (#[0-9a-f]{3,6})/g)]
  return new Map(found.map(([, name = '', colour = '']) => [name, colour]))
}
const [light = '', dark = ''] = stylesheet.split('@media print')[0]?.split('@media (prefers-') ?? []

/** WCAG 2.2, relative luminance. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = (colour.match(/[0-9a-f]{2}/g) ?? []).map((pair) => {
    const share = Number.parseInt(pair, 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (high + 0.05) / (low + 0.05)
}

describe('stylesheet', () => {
  describe.each([
    ['light', coloursOf(light)],
    ['dark', coloursOf(dark)],
  ])('in the %s scheme', (_, colours) => {
    const of = (name: string) => colours.get(name) ?? ''

    it.each([
      ['ink', ['paper', 'fill', 'added', 'removed']],
      ['faint', ['paper', 'fill']],
      ['accent', ['paper', 'fill']],
      ['visited', ['paper', 'fill']],
      ['alert', ['paper', 'fill']],
      ['paper', ['accent']],
    ])('gives %s a contrast of 4.5 or more on %j, as text wants it', (text, grounds) => {
      for (const ground of grounds) {
        expect(contrast(of(text), of(ground)), ground).toBeGreaterThanOrEqual(4.5)
      }
    })

    it.each(['edge', 'accent', 'alert'])(
      'lets %s be seen beside paper, as borders want it',
      (name) => {
        expect(contrast(of(name), of('paper'))).toBeGreaterThanOrEqual(3)
      },
    )
  })

  it('knows no side but those that turn with the direction of the text', () => {
    expect(stylesheet).not.toMatch(/(?<!-webkit-)\b(left|right)\b/)
  })

  it('has no character that would end its element', () => {
    expect(stylesheet).not.toContain('<')
  })
})
