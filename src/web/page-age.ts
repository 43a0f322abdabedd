import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { raw } from 'hono/html'
import type { Html } from './layout.ts'

/**
 * Up to this age a page may say a smaller one than it has, s: whoever asks whether his copy is still
 * good hears that it is. Front pages come every five seconds; one that is older shows that they do
 * not.
 */
export const currentSeconds = 10

/**
 * An age as it is shown, s: each second of the first minute, then whole minutes, from an hour on
 * hours, from two days on days. Under a minute it is rounded up, and never none.
 */
export function shownAge(ms: number): number {
  const seconds = Math.max(1, Math.ceil(ms / 1_000))
  if (seconds < minute) return seconds
  const unit = seconds < hour ? minute : seconds < 2 * day ? hour : day
  return seconds - (seconds % unit)
}
const minute = 60
const hour = 60 * minute
const day = 24 * hour

const ages = new Intl.RelativeTimeFormat('en-GB', { numeric: 'always' })

function wordsOf(seconds: number): string {
  if (seconds < minute) return ages.format(-seconds, 'second')
  if (seconds < hour) return ages.format(-seconds / minute, 'minute')
  if (seconds < 2 * day) return ages.format(-seconds / hour, 'hour')
  return ages.format(-seconds / day, 'day')
}

/** `2 seconds ago`, `5 minutes ago`. At most once on a page: it is found again by its id. */
export const ageNote = (ms: number): Html => raw(write(shownAge(ms)))

const write = (seconds: number) =>
  `<time id="age" datetime="PT${seconds}S">${wordsOf(seconds)}</time>`

// Nothing that people wrote stands on a page unescaped, so no text can pretend to be it.
const note = /<time id="age" datetime="PT([0-9]+)S">[^<]*<\/time>/

/** A page taken apart where it says its age. */
export type Aging = { readonly before: string; readonly after: string; readonly seconds: number }

/** null: the page says no age. */
export function takeAge(page: string): Aging | null {
  const found = note.exec(page)
  if (found === null) return null
  const [{ length }, seconds] = found
  return {
    before: page.slice(0, found.index),
    after: page.slice(found.index + length),
    seconds: Number(seconds),
  }
}

/** The same page with another age. @param seconds - as `shownAge` has it */
export function giveAge({ before, after }: Aging, seconds: number): string {
  return before + write(seconds) + after
}

/**
 * What the tag of a page adds for its age. While the page is current it is nothing: the age is no
 * part of what the page says. Later it is, and whoever has a younger copy gets it anew.
 */
export const ageMark = (seconds: number): string => (seconds > currentSeconds ? `-${seconds}s` : '')

/** Hex digits that stand for everything on a page but its age. */
export function hashOf({ before, after }: Pick<Aging, 'before' | 'after'>): string {
  return createHash('sha256').update(before).update('\0').update(after).digest('hex').slice(0, 40)
}

/**
 * Sends a page that is made for each question, with a weak tag where it says its age (RFC 9110,
 * 8.8.1): else no copy of it would be good for longer than a second.
 */
export async function sendAged(c: Context, made: Html) {
  const body = String(await made)
  const aging = takeAge(body)
  if (aging !== null) c.header('ETag', `W/"${hashOf(aging)}${ageMark(aging.seconds)}"`)
  return c.html(body)
}
