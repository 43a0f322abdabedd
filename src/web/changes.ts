import { html } from 'hono/html'
import type { Post } from '../replication/log/entry.ts'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { type Change, diffWords } from './word-diff.ts'

/** A version of a post as far as it is compared: signed, or still being written. */
export type Version = Pick<Post, 'title' | 'lang' | 'tags' | 'body'>

/**
 * What changed between two versions of a post, word by word.
 *
 * @param names - what the two are called where they are shown whole, `Version 2`
 */
export function showChanges(
  old: Version,
  young: Version,
  names: readonly [old: string, young: string],
): Html {
  const parts = [
    { name: 'Title', from: old.title, to: young.title },
    { name: 'Language', from: old.lang ?? '', to: young.lang ?? '' },
    { name: 'Tags', from: old.tags.join(', '), to: young.tags.join(', ') },
    { name: 'Text', from: old.body, to: young.body },
  ].filter((part) => part.from !== part.to)
  if (parts.length === 0) {
    return html`<p>Title, language, tags and text are the same in both.</p>`
  }
  return html`<p>What was taken out is struck through, what was added is underlined.</p>
${parts.map((part) => {
  const changes = diffWords(part.from, part.to)
  return html`<h3>${part.name}</h3>
${changes === null ? bothTexts(old, young, names, part) : shownChanges(changes, young.lang)}`
})}`
}

function shownChanges(changes: readonly Change[], lang: string | null): Html {
  const note = changes.every(({ kind }) => kind === 'same')
    ? html`<p>Only blanks and line ends differ.</p>
`
    : ''
  return html`${note}<div class="compared" ${inLanguage(lang)}>${changes.map(({ kind, text }) => {
    if (kind === 'same') return text
    return kind === 'added' ? html`<ins>${text}</ins>` : html`<del>${text}</del>`
  })}</div>
`
}

function bothTexts(
  old: Version,
  young: Version,
  names: readonly [old: string, young: string],
  part: { readonly from: string; readonly to: string },
): Html {
  return html`<p>They differ too much to show it word by word. Here are both.</p>
<h4>${names[0]}</h4>
<div class="compared" ${inLanguage(old.lang)}>${part.from}</div>
<h4>${names[1]}</h4>
<div class="compared" ${inLanguage(young.lang)}>${part.to}</div>
`
}
