/**
 * The beginning of a text, at most `maxUnits` UTF-16 code units of it: what `length` counts. A
 * character of two units is left out whole where only its first half would fit, since a half one
 * cannot be encoded: it would arrive as another character, and a signed text would not be what was meant.
 */
export function cutText(text: string, maxUnits: number): string {
  const begin = text.slice(0, maxUnits)
  return isFirstHalf(begin.at(-1)) && begin.length < text.length ? begin.slice(0, -1) : begin
}

const isFirstHalf = (unit: string | undefined) =>
  unit !== undefined && unit >= '\ud800' && unit <= '\udbff'
