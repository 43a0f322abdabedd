import { Hono, type MiddlewareHandler } from 'hono'
import { except } from 'hono/combine'
import { etag } from 'hono/etag'
import { createMiddleware } from 'hono/factory'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { openDesk } from './account.ts'
import { actPages } from './acts-page.ts'
import { archivePages } from './archive-page.ts'
import { followAlias, openRequested } from './blog-host.ts'
import { blogPages } from './blog-page.ts'
import { allBlogsPages } from './blogs-page.ts'
import { claimPages } from './claim-page.ts'
import { noteClient } from './client.ts'
import { composePages, showTaken } from './compose-page.ts'
import { copiesPages } from './copies-page.ts'
import { councilFeeds } from './council-feed.ts'
import { councilTagPages } from './council-tag-page.ts'
import { editPages, movedEditPages } from './edit-page.ts'
import { entryPages, passPages } from './enter-page.ts'
import { answerError, answerFailure } from './errors.ts'
import { feeds } from './feed.ts'
import { helpPages } from './help-page.ts'
import { historyPages } from './history-page.ts'
import { homePages } from './home-page.ts'
import type { Place } from './host.ts'
import { KeptPages } from './kept-pages.ts'
import { contentSecurityPolicy } from './layout.ts'
import { leftOverPages } from './left-over-page.ts'
import { logFiles } from './log-files.ts'
import { loginPages, loginPipe } from './login-page.ts'
import { machineRoutes } from './machine.ts'
import { RenderCache } from './markdown.ts'
import { myBlogPages, receiptFiles } from './my-blogs-page.ts'
import { orderRoute } from './order.ts'
import { placeReader } from './places.ts'
import { limitRate, RateLimits } from './rate-limit.ts'
import { movedRevokePage, revokePages, revokeRoute } from './revoke-page.ts'
import { searchPages } from './search-page.ts'
import { visitors } from './session-cookie.ts'
import { signPages, signPipe } from './sign-page.ts'
import { crawlerFiles } from './sitemap.ts'
import type { WebSpoke } from './spoke.ts'
import { startPages } from './start-page.ts'
import { submitRoute } from './submit.ts'
import { tagPages } from './tag-page.ts'

/** What the server in front of the app shares with it. */
export type Surroundings = {
  /** pages in memory; the server answers from them too */
  readonly kept?: KeptPages
  readonly rates?: RateLimits
  /** whether `X-Forwarded-For` from this address is believed: `web.trustedProxies` */
  readonly isTrustedProxy?: (address: string) => boolean
}

/**
 * Everything that a spoke answers over HTTP. What is asked of it follows from the Host header:
 * `mountOf` puts the host in front of the path, so each part below mounts its routes once.
 *
 * @param report - hears of every failure that ended a request with 500 or 503, for the log, but not
 *   of clients that leave in the middle of what they send
 */
export function createApp(
  spoke: WebSpoke,
  report: (error: unknown) => void,
  {
    kept = new KeptPages(spoke),
    rates = new RateLimits(''),
    isTrustedProxy = () => false,
  }: Surroundings = {},
): Hono {
  const placeOf = placeReader(spoke)
  const app = new Hono({
    getPath: (request) => {
      const { host, pathname } = new URL(request.url)
      const mount = mountOf(placeOf(request.headers.get('host') ?? host), spoke)
      return pathname === '/' ? mount : mount + pathname
    },
  })
  app.use(noteClient(isTrustedProxy))
  app.use(kept.middleware())
  app.use(securityHeaders(spoke))
  // An archive goes out as a stream; hashing it would hold it in memory. Kept pages have their tags.
  app.use(except(['/blog/:blog/export.tar', (c) => kept.isKept(c.req.raw)], etag()))
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) => {
        c.header('Allow', methods.join(', '))
        const reason = `This address answers ${methods.join(', ')}, not ${c.req.method}.`
        return answerError(c, spoke, 'METHOD_NOT_ALLOWED', reason)
      },
    }),
  )
  app.use(limitReads(limitRate(spoke, rates, 'read')))
  for (const mount of ['/spoke', '/blog/:blog', '/edit/:blog', '/moved/:blog']) {
    app
      .route(mount, submitRoute(spoke, rates))
      .route(mount, orderRoute(spoke, rates))
      .route(mount, revokeRoute(spoke, rates))
      .route(mount, machineRoutes(spoke))
  }
  for (const mount of ['/spoke', '/edit/:blog']) app.route(mount, revokePages(spoke))
  app.route('/blog/:blog', movedRevokePage(spoke))
  const desk = openDesk(spoke)
  const rendered = new RenderCache()
  for (const routes of [
    homePages(spoke, rates),
    searchPages(spoke, rates),
    councilTagPages(spoke, rates),
    allBlogsPages(spoke, rates),
    councilFeeds(spoke, rendered, rates),
    claimPages(spoke),
    actPages(spoke),
    helpPages(spoke),
    receiptFiles(spoke),
    loginPipe(spoke, desk, rates),
    signPipe(spoke, desk, rates),
  ]) {
    app.route('/spoke', routes)
  }
  app.use('/blog/:blog/*', openRequested(spoke), followAlias)
  for (const routes of [
    logFiles(spoke),
    blogPages(spoke, rendered),
    feeds(spoke, rendered),
    tagPages(spoke),
    archivePages(spoke),
    historyPages(spoke),
    crawlerFiles(spoke),
  ]) {
    app.route('/blog/:blog', routes)
  }
  // Below stand the pages for people who log in; what came above answers without a cookie.
  limitForms(app, spoke, rates)
  const signing = signPages(spoke, desk, showTaken(spoke))
  for (const path of ['/login/*', '/logout', '/enter', '/start/*', '/my', '/sign/*']) {
    app.use(`/spoke${path}`, visitors(spoke, desk))
  }
  for (const routes of [
    loginPages(spoke, desk),
    passPages(spoke),
    startPages(spoke, desk),
    myBlogPages(spoke, desk),
    signing,
  ]) {
    app.route('/spoke', routes)
  }
  app.use('/edit/:blog/*', visitors(spoke, desk), openRequested(spoke))
  app
    .route('/edit/:blog', entryPages(spoke, desk))
    .route('/edit/:blog', editPages(spoke, desk))
    .route('/edit/:blog', copiesPages(spoke, desk))
    .route('/edit/:blog', leftOverPages(spoke))
    .route('/edit/:blog', composePages(spoke, desk, rendered))
    .route('/edit/:blog', signing)
  app.route('/moved/:blog', movedEditPages(spoke))
  app.all('/unknown/*', (c) => {
    const { zone, name } = spoke
    const reason = `This server answers for ${zone}, ${name}.spoke.${zone} and the blogs below ${zone}, not for the address that was asked for.`
    return answerError(c, spoke, 'HOST_UNKNOWN', reason)
  })
  app.notFound((c) => answerError(c, spoke, 'PAGE_NOT_FOUND', 'There is nothing at this address.'))
  app.onError((error, c) => {
    // Anybody may go before all is sent; nothing here is wrong, and nobody hears the answer.
    if (!isGone(error)) report(error)
    return answerFailure(c, spoke, error)
  })
  return app
}

/** What Node ends the body of a request with whose client has closed the connection. */
const isGone = (error: NodeJS.ErrnoException) =>
  error.code === 'ECONNRESET' && error.message === 'aborted'

/** How often one client may send the forms of the pages for authors. */
function limitForms(app: Hono, spoke: WebSpoke, rates: RateLimits): void {
  const kinds = [
    ['/spoke/login', 'challenge'],
    ['/spoke/start', 'challenge'],
    ['/spoke/login/answer', 'login'],
    ['/spoke/start/blog', 'form'],
    ['/spoke/sign', 'form'],
    ['/edit/:blog/*', 'form'],
  ] as const
  for (const [path, kind] of kinds) {
    const limit = limitRate(spoke, rates, kind)
    // By `use`: as a route of its own it would let the path seem to exist for other methods.
    app.use(path, (c, next) => (c.req.method === 'POST' ? limit(c, next) : next()))
  }
}

/** The first part of the path under which a host's routes are mounted. */
function mountOf(place: Place, spoke: WebSpoke): string {
  switch (place.kind) {
    case 'council':
    case 'own':
      return '/spoke'
    case 'spoke':
      return place.name === spoke.name ? '/spoke' : '/unknown'
    case 'blog':
      return `/blog/${place.blog}`
    case 'edit':
      return `${place.canonical ? '/edit' : '/moved'}/${place.blog}`
    case 'unknown':
      return '/unknown'
  }
}

/**
 * Reads that are limited: all that come so far, since what is in memory costs nothing. But machines
 * of the council, and the proxy that asks before each certificate, are answered always.
 */
function limitReads(limit: MiddlewareHandler): MiddlewareHandler {
  return (c, next) =>
    ['GET', 'HEAD'].includes(c.req.method) && !/\/_council\/(hello|tls-ask)$/.test(c.req.path)
      ? limit(c, next)
      : next()
}

/** What every answer carries, errors too (DESIGN 6). */
function securityHeaders(spoke: WebSpoke) {
  const isHttps = spoke.origin(spoke.zone).startsWith('https:')
  const policy = contentSecurityPolicy(spoke)
  return createMiddleware(async (c, next) => {
    await next()
    const { headers } = c.res
    headers.set('Content-Security-Policy', policy)
    headers.set('Referrer-Policy', 'strict-origin')
    headers.set('X-Content-Type-Options', 'nosniff')
    // Without includeSubDomains: a blog's host may be served by others than the zone's.
    if (isHttps) headers.set('Strict-Transport-Security', 'max-age=31536000')
    // A page may be kept, but is asked for again: a new revision shows at once.
    if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-cache')
  })
}
