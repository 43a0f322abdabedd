import { z } from 'zod'
import type { EntryId } from '../log/text.ts'
import { bytes, signedShape } from '../network.ts'
import { maxFrontPosts, maxPageBytes } from '../protocol.ts'
import type { SignedRow } from '../registry/proof.ts'
import { manifestBuckets, manifestHashBytes } from './manifest.ts'
import { type ProvedPostRow, provedPostShape } from './proved-post.ts'

/** Characters of a search as it travels; what of it is looked for the index decides. */
export const maxQueryCharacters = 1_000
/** Characters of a cursor, which only who made it understands. */
export const maxCursorCharacters = 200
/** Hits asked for at once. */
export const maxHits = 50
/** Blogs in one answer. */
export const maxBlogsPage = 200
/** Posts asked for at once: those of one front page. */
export const maxPostsAsked = maxFrontPosts

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const blog = z.string().max(30)
const id = z.custom<EntryId>((value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value))
const cursor = z.string().max(maxCursorCharacters).nullable()

/** What a peer of the inner circle is asked on `/council/search/1`. */
export const searchRequest = z.discriminatedUnion('t', [
  z.object({ t: z.literal('front') }),
  z.object({
    t: z.literal('posts'),
    posts: z
      .array(z.tuple([blog, count]))
      .min(1)
      .max(maxPostsAsked),
  }),
  z.object({
    t: z.literal('manifest'),
    root: id,
    buckets: z
      .array(
        z
          .number()
          .int()
          .min(0)
          .max(manifestBuckets - 1),
      )
      .max(manifestBuckets),
  }),
  z.object({
    t: z.literal('blogs'),
    after: blog.nullable(),
    limit: z.number().int().min(1).max(maxBlogsPage),
  }),
  z.object({
    t: z.literal('search'),
    // Lone surrogates have no bytes of their own; they would come back as other characters.
    query: z
      .string()
      .max(maxQueryCharacters)
      .refine((text) => text.isWellFormed()),
    order: z.enum(['newest', 'best']),
    cursor,
    limit: z.number().int().min(1).max(maxHits),
  }),
])
export type SearchRequest = z.infer<typeof searchRequest>

/** What the answerer covers, as its front page says it. */
export type AnswerCoverage = {
  readonly spokes: number
  readonly of: number
  readonly blogs: number
  readonly at: number
}
const coverage: z.ZodType<AnswerCoverage> = z.object({
  ...{ spokes: count, of: count, blogs: count, at: count },
})

export const frontMessage: z.ZodType<{ front: SignedRow }> = z.object({ front: signedShape })
export const frontAnswer: z.ZodType<{ front: SignedRow | null }> = z.object({
  front: signedShape.nullable(),
})
/** As many as fit in 1 MiB, in the order asked; what is not there is left out. */
export const postsAnswer: z.ZodType<{ posts: ProvedPostRow[]; more: boolean }> = z.object({
  posts: z.array(provedPostShape).max(maxPostsAsked),
  more: z.boolean(),
})
/** The hashes of all buckets, and of those asked for as many as fit in 1 MiB, in the order asked. */
export const manifestAnswer = z.object({
  hashes: bytes.refine(({ length }) => length === manifestHashBytes),
  buckets: z.array(bytes.refine(({ length }) => length <= maxPageBytes)).max(manifestBuckets),
})
export type ListedBlog = {
  readonly blog: string
  readonly title: string
  readonly lang: string | null
  readonly posts: number
}
export const blogsAnswer: z.ZodType<{
  blogs: ListedBlog[]
  next: string | null
  coverage: AnswerCoverage | null
}> = z.object({
  blogs: z
    .array(
      z.object({
        blog,
        title: z.string().max(400),
        lang: z.string().max(20).nullable(),
        posts: count,
      }),
    )
    .max(maxBlogsPage),
  next: blog.nullable(),
  coverage: coverage.nullable(),
})
export const hitsAnswer: z.ZodType<{
  posts: ProvedPostRow[]
  next: string | null
  coverage: AnswerCoverage | null
}> = z.object({
  posts: z.array(provedPostShape).max(maxHits),
  next: cursor,
  coverage: coverage.nullable(),
})
