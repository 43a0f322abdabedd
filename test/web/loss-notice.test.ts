import { describe, expect, it } from 'vitest'
import type { Replica } from '../../src/replication/log/peer-text.ts'
import type { Loss } from '../../src/replication/registry/loss.ts'
import { createApp } from '../../src/web/app.ts'
import type { OpenBlog } from '../../src/web/spoke.ts'
import { fakeId, replica, storeOf } from '../replication/test-council.ts'
import { host } from './browser.ts'
import { logOf, memorySpoke, nameOf, openLog } from './memory-spoke.ts'

const log = logOf(
  'maria',
  { kind: 'post', slug: 'one', title: 'One' },
  { kind: 'post', slug: 'two', title: 'Two' },
)
const loss: Loss = {
  ...{ blog: nameOf('maria'), reason: 'both disks <burnt>', seq: 12 },
  dateMs: Date.UTC(2026, 4, 3),
  lost: { from: 3, last: { seq: 7, id: fakeId('ab') } },
  silent: [replica(2), replica(3)],
}

async function pagesWith(...losses: readonly Loss[]): Promise<string[]> {
  return pagesOf(openLog(log), losses)
}

async function pagesOf(open: OpenBlog, losses: readonly Loss[]): Promise<string[]> {
  const spoke = memorySpoke({ maria: open }, { losses: () => losses })
  const app = createApp(spoke, (error) => {
    throw error
  })
  const paths = ['/', '/2026/one']
  return Promise.all(
    paths.map(async (path) => {
      const url = `${host('maria')}${path}`
      return (await app.request(url, { headers: { host: new URL(url).host } })).text()
    }),
  )
}

describe('lossNotice', () => {
  it('says on the blog’s pages what was lost, when, why, and where the act is', async () => {
    for (const page of await pagesWith(loss)) {
      expect(page).toContain('Entries 3 to 7 of this blog are lost.')
      expect(page).toContain('>3 May 2026</time>')
      expect(page).toContain('<q dir="auto">both disks &lt;burnt&gt;</q>')
      expect(page).toContain('/acts/names/12.txt"')
    }
  })

  it.each<[string, Loss['lost'], string]>([
    ['one entry', { from: 3, last: { seq: 3, id: fakeId('ab') } }, 'Entry 3 of this blog is lost.'],
    ['what nobody knows', null, 'Entries of this blog may be lost.'],
  ])('has words for %s', async (_, lost, words) => {
    expect((await pagesWith({ ...loss, lost }))[0]).toContain(words)
  })

  it('is silent when nothing was lost, and when it is there again', async () => {
    const back = { from: 2, last: { seq: 2, id: (log[2] as (typeof log)[0]).id } }
    for (const page of [...(await pagesWith()), ...(await pagesWith({ ...loss, lost: back }))])
      expect(page).not.toContain('What was lost')
    const other = { from: 2, last: { seq: 2, id: fakeId('cd') } }
    expect((await pagesWith({ ...loss, lost: other }))[0]).toContain(
      'Entry 2 of this blog is lost.',
    )
  })

  it('is silent about what nobody knows when all that were silent are back with their stores', async () => {
    const keptBy = (...replicas: Replica[]) => {
      const open = openLog(log)
      const copies = replicas.map((each) => ({
        ...{ ...each, spoke: null, isPrimary: false, receipt: null },
      }))
      return { ...open, copies: () => ({ ...open.copies(), replicas: copies }) }
    }
    const unknown = { ...loss, lost: null }
    const all = [replica(1), replica(2), replica(3)]
    expect((await pagesOf(keptBy(...all), [unknown]))[0]).not.toContain('What was lost')
    const emptied = { ...replica(3), store: storeOf(9) }
    for (const replicas of [
      [replica(1), replica(2)],
      [replica(1), replica(2), emptied],
    ])
      expect((await pagesOf(keptBy(...replicas), [unknown]))[0]).toContain('may be lost')
    expect((await pagesOf(keptBy(...all), [{ ...unknown, silent: [] }]))[0]).toContain(
      'may be lost',
    )
  })
})
