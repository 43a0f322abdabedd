import { html } from 'hono/html'
import { inLanguage } from './language.ts'
import type { Html } from './layout.ts'
import { blogUrl, type LinkSource, postPath } from './links.ts'
import { excerptOf } from './markdown.ts'
import { dayOf } from './post-list.ts'
import type { CouncilPost, FoundPost } from './spoke.ts'

/** Of the text of a post under its title; twenty in Chinese must leave the page below 30 KB. */
const maxExcerptCharacters = 120

/**
 * Posts of many blogs as a list of links, each with some words of its text: those that were found,
 * or its first. An item runs in the direction of its post; what the council says of it is English.
 */
export function councilPosts(spoke: LinkSource, posts: readonly (CouncilPost | FoundPost)[]): Html {
  const items = posts.map((post) => {
    const mark = post.mark === null ? '' : html`; <strong>${post.mark}</strong>`
    return html`<li ${inLanguage(post.lang)}><a href="${blogUrl(spoke, post.blog, postPath(post))}">${post.title}</a>${wordsOf(post)}
<small ${inLanguage('en')}>${post.blog}, first seen ${dayOf(post.seenMs)}${mark}</small></li>
`
  })
  return html`<ol>
${items}</ol>`
}

function wordsOf(post: CouncilPost | FoundPost): Html {
  const words =
    'snippet' in post
      ? post.snippet.map(({ text, isHit }) => (isHit ? html`<mark>${text}</mark>` : html`${text}`))
      : excerptOf(post.body, maxExcerptCharacters)
  return words.length === 0
    ? html``
    : html`
<p>${words}</p>`
}
