import type { Holder } from './author.ts'
import type { Visitor } from './browser.ts'
import type { PageType } from './page-types.ts'
import type { Site } from './site.ts'

type Author = keyof Site['authors']
type Cookies = Awaited<ReturnType<Visitor['context']['cookies']>>

/** Logins by site: a spoke lets one client try ten a minute. */
const logins = new WeakMap<Site, Map<Author, Cookies>>()

/** Makes the visitor one of the authors, who logs in at the spoke that answers for the zone. */
async function become(visitor: Visitor, site: Site, author: Author): Promise<void> {
  const known = logins.get(site) ?? new Map<Author, Cookies>()
  logins.set(site, known)
  const cookies = known.get(author)
  await visitor.context.clearCookies()
  if (cookies !== undefined) return visitor.context.addCookies(cookies)
  await logIn(visitor, site.door.url('a.spoke', '/login'), author, site.authors[author])
  known.set(author, await visitor.context.cookies())
}

/** Logs in at a spoke's login page by decrypting what it shows. */
export async function logIn(
  visitor: Visitor,
  url: string,
  who: string,
  { decrypt }: Pick<Holder, 'decrypt'>,
) {
  const { page } = visitor
  await visitor.open(url)
  await page.getByLabel('Your blog’s name').fill(who)
  await press(visitor, 'Go on')
  const message = (await page.locator('pre code').first().textContent()) ?? ''
  await page.getByLabel('The code').fill(/^code: (.*)$/m.exec(await decrypt(message))?.[1] ?? '')
  return press(visitor, 'Log in')
}

export const press = (visitor: Visitor, name: string) =>
  visitor.follow(() => visitor.page.getByRole('button', { name, exact: true }).click())
const follow = (visitor: Visitor, name: string) =>
  visitor.follow(() => visitor.page.getByRole('link', { name, exact: true }).first().click())

type Way = (visitor: Visitor, site: Site) => ReturnType<Visitor['open']>

/** A page that anybody sees. */
function open(name: string, status: number, way: Way): PageType {
  const asNobody: Way = async (visitor, site) => {
    await visitor.context.clearCookies()
    return way(visitor, site)
  }
  return { name, status, open: asNobody }
}

/** A page that an author sees who is logged in. */
function own(name: string, status: number, way: Way, author: Author = 'maria'): PageType {
  const asAuthor: Way = async (visitor, site) => {
    await become(visitor, site, author)
    return way(visitor, site)
  }
  return { name, status, open: asAuthor }
}

/** At the edit host of maria, by the way in that the spoke's host gives. */
const atEdit =
  (to: string): Way =>
  (visitor, { door }) =>
    visitor.open(door.url('a.spoke', `/enter?blog=maria&to=${encodeURIComponent(to)}`))

const write =
  (body: string, button: string): Way =>
  async (visitor, site) => {
    await atEdit('/write')(visitor, site)
    await visitor.page.getByLabel('Title').fill('A new post, with a title that is not short at all')
    await visitor.page.getByLabel('Text').fill(body)
    return press(visitor, button)
  }
const words = 'Some **words**.\n\n| a | table |\n|---|---|\n| 1 | 2 |'

/** Every kind of page on which somebody logs in, signs and writes. */
export const authorPages: readonly PageType[] = [
  open('start', 200, (visitor, { door }) => visitor.open(door.url('a.spoke', '/start'))),
  open('start-refused', 400, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/start'))
    await visitor.page.getByLabel('Your public key').fill('-----BEGIN PGP PUBLIC KEY BLOCK-----')
    await visitor.page.getByLabel('Your gpg id').fill('maria')
    return press(visitor, 'Go on')
  }),
  open('login', 200, (visitor, { door }) => visitor.open(door.url('a.spoke', '/login'))),
  open('login-refused', 403, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/login'))
    await visitor.page.getByLabel('Your blog’s name').fill('nobody')
    return press(visitor, 'Go on')
  }),
  open('login-challenge', 200, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/login'))
    await visitor.page.getByLabel('Your blog’s name').fill('maria')
    return press(visitor, 'Go on')
  }),
  open('login-wait', 200, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/login'))
    await visitor.page.getByLabel('Your blog’s name').fill('maria')
    await press(visitor, 'Go on')
    return follow(visitor, 'wait here for the line')
  }),
  own('my-blogs', 200, (visitor, { door }) => visitor.open(door.url('a.spoke', '/my'))),
  own('start-name', 200, (visitor, { door }) => visitor.open(door.url('a.spoke', '/start/blog'))),
  own('start-taken', 409, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/start/blog'))
    await visitor.page.getByLabel('Name of the blog').fill('noor')
    return press(visitor, 'Ask for this name')
  }),
  own('sign-claim', 200, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/start/blog'))
    await visitor.page.getByLabel('Name of the blog').fill('zoe')
    return press(visitor, 'Ask for this name')
  }),
  own('edit', 200, atEdit('/')),
  own('edit-other-author', 403, atEdit('/'), 'noor'),
  own('write', 200, atEdit('/write')),
  own('write-change', 200, atEdit('/write?slug=everything')),
  own('write-restore', 200, atEdit('/write?slug=everything&from=3')),
  own('write-preview', 200, write(words, 'Preview')),
  own('write-refused', 400, write('a\u0001b', 'Preview')),
  own('write-newer', 409, async (visitor, site) => {
    await atEdit('/write?slug=everything')(visitor, site)
    await visitor.page.evaluate('document.querySelector("[name=base]").value = "3"')
    return press(visitor, 'Preview')
  }),
  own('sign', 200, write(words, 'Sign and publish')),
  own('sign-refused', 400, async (visitor, site) => {
    await write(words, 'Sign and publish')(visitor, site)
    await visitor.page.getByLabel('The signature').fill('That is no signature.')
    return press(visitor, 'Publish')
  }),
  own('sign-wait', 200, async (visitor, site) => {
    await write(words, 'Sign and publish')(visitor, site)
    return follow(visitor, 'wait here for the line')
  }),
  own('published', 200, (visitor, { door, ready }) =>
    visitor.open(door.url('edit.maria', `/published?seq=0&id=${ready}`)),
  ),
  own('copies', 200, atEdit('/copies')),
  own('sign-order', 200, async (visitor, site) => {
    await atEdit('/copies')(visitor, site)
    return press(visitor, 'Go on to sign')
  }),
  own('remove', 200, atEdit('/remove?slug=article-1')),
  own('about', 200, atEdit('/about')),
  open('enter-used', 403, (visitor, { door }) =>
    visitor.open(door.url('edit.maria', '/enter?t=used')),
  ),
  open('revoke', 200, (visitor, { door }) => visitor.open(door.url('a.spoke', '/revoke'))),
  open('revoke-refused', 400, async (visitor, { door }) => {
    await visitor.open(door.url('a.spoke', '/revoke'))
    await visitor.page.getByLabel('Revocation certificate').fill('nothing of the kind')
    return press(visitor, 'Revoke this key')
  }),
]
