import { HtmlValidate } from 'html-validate'
import { expect } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import type { WebSpoke } from '../../src/web/spoke.ts'
import { zone } from './memory-spoke.ts'

const bug = (error: unknown) => {
  throw error
}
const validator = new HtmlValidate({ extends: ['html-validate:recommended'], root: true })

/** Address of a host of the council, `''` for the zone itself. */
export const host = (name: string) => `http://${name === '' ? '' : `${name}.`}${zone}:8380`

export const get = async (spoke: WebSpoke, url: string, headers: Record<string, string> = {}) =>
  createApp(spoke, bug).request(new Request(url, { headers }))

/** The page's HTML, after a look that it is valid and has no script. */
export async function validPage(spoke: WebSpoke, url: string, status = 200): Promise<string> {
  const answer = await get(spoke, url)
  const text = await answer.text()
  expect(answer.status, text).toBe(status)
  expect(answer.headers.get('content-type')).toMatch(/^text\/html; charset=utf-8$/i)
  const { results } = await validator.validateString(text)
  expect(
    results.flatMap(({ messages }) => messages.map((m) => `${m.ruleId}: ${m.message}`)),
  ).toEqual([])
  expect(text).not.toContain('<script')
  return text
}

/** What stands in the page as words. */
export const wordsOf = (page: string) => page.replace(/<[^>]*>/g, '').replace(/\s+/g, ' ')
