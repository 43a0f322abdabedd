import type { SearchIndex } from '../src/replication/aggregation/search-index.ts'
import type { IndexedPost } from '../src/replication/aggregation/search-writer.ts'
import { type Corpus, stretchPosts } from './search-corpus.ts'

/** Gives the index all posts of a corpus, as a catch-up does, and waits until they are written. */
export async function fillIndex(index: SearchIndex, corpus: Corpus, count: number): Promise<void> {
  for (let number = 0; number < count; number += stretchPosts) {
    const put = Array.from({ length: stretchPosts }, (_, each) => corpus.post(number + each))
    const [first, last] = [put[0], put.at(-1)] as [IndexedPost, IndexedPost]
    await index.room()
    index.apply(first.blog, { seq: last.seq, id: last.id }, { from: first.seq, put, remove: [] })
  }
  await index.flush()
}
