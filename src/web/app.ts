import { Hono } from 'hono'
import { except } from 'hono/combine'
import { etag } from 'hono/etag'
import { createMiddleware } from 'hono/factory'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { actPages } from './acts-page.ts'
import { archivePages } from './archive-page.ts'
import { followAlias, openRequested } from './blog-host.ts'
import { blogPages } from './blog-page.ts'
import { claimPages } from './claim-page.ts'
import { editPages, movedEditPages } from './edit-page.ts'
import { answerError, answerFailure } from './errors.ts'
import { feeds } from './feed.ts'
import { historyPages } from './history-page.ts'
import { homePages } from './home-page.ts'
import { type Place, placeOfHost } from './host.ts'
import { contentSecurityPolicy } from './layout.ts'
import { logFiles } from './log-files.ts'
import { machineRoutes } from './machine.ts'
import { RenderCache } from './markdown.ts'
import { movedRevokePage, revokePages, revokeRoute } from './revoke-page.ts'
import { crawlerFiles } from './sitemap.ts'
import type { WebSpoke } from './spoke.ts'
import { submitRoute } from './submit.ts'
import { tagPages } from './tag-page.ts'

/**
 * Everything that a spoke answers over HTTP. What is asked of it follows from the Host header:
 * `mountOf` puts the host in front of the path, so each part below mounts its routes once.
 *
 * @param report - hears of every failure that ended a request with 500 or 503, for the log
 */
export function createApp(spoke: WebSpoke, report: (error: unknown) => void): Hono {
  const app = new Hono({
    getPath: (request) => {
      const { host, pathname } = new URL(request.url)
      const mount = mountOf(placeOf(spoke, request.headers.get('host') ?? host), spoke)
      return pathname === '/' ? mount : mount + pathname
    },
  })
  app.use(securityHeaders(spoke.origin(spoke.zone).startsWith('https:')))
  // An archive goes out as a stream; hashing it would hold it in memory.
  app.use(except('/blog/:blog/export.tar', etag()))
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
  for (const mount of ['/spoke', '/blog/:blog', '/edit/:blog', '/moved/:blog']) {
    app
      .route(mount, submitRoute(spoke))
      .route(mount, revokeRoute(spoke))
      .route(mount, machineRoutes(spoke))
  }
  for (const mount of ['/spoke', '/edit/:blog']) app.route(mount, revokePages(spoke))
  app.route('/blog/:blog', movedRevokePage(spoke))
  app
    .route('/spoke', homePages(spoke))
    .route('/spoke', claimPages(spoke))
    .route('/spoke', actPages(spoke))
  app.use('/blog/:blog/*', openRequested(spoke), followAlias)
  const rendered = new RenderCache()
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
  app.route('/edit/:blog', editPages(spoke)).route('/moved/:blog', movedEditPages(spoke))
  app.all('/unknown/*', (c) => {
    const { zone, name } = spoke
    const reason = `This server answers for ${zone}, ${name}.spoke.${zone} and the blogs below ${zone}, not for the address that was asked for.`
    return answerError(c, spoke, 'HOST_UNKNOWN', reason)
  })
  app.notFound((c) => answerError(c, spoke, 'PAGE_NOT_FOUND', 'There is nothing at this address.'))
  app.onError((error, c) => {
    report(error)
    return answerFailure(c, spoke, error)
  })
  return app
}

function placeOf(spoke: WebSpoke, host: string): Place {
  return placeOfHost(host, spoke.zone, spoke.editForm(), spoke.addresses())
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

/** What every answer carries, errors too (DESIGN 6). */
function securityHeaders(isHttps: boolean) {
  return createMiddleware(async (c, next) => {
    await next()
    const { headers } = c.res
    headers.set('Content-Security-Policy', contentSecurityPolicy)
    headers.set('Referrer-Policy', 'strict-origin')
    headers.set('X-Content-Type-Options', 'nosniff')
    // Without includeSubDomains: a blog's host may be served by others than the zone's.
    if (isHttps) headers.set('Strict-Transport-Security', 'max-age=31536000')
    // A page may be kept, but is asked for again: a new revision shows at once.
    if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-cache')
  })
}
