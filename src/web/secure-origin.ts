import type { LinkSource } from './links.ts'

/**
 * Whether a browser takes a host of this spoke for a secure context: by `web.origin` it is reached
 * by https, or it is a name under localhost. Only there are `Secure` cookies and keys in the page
 * to be had (DESIGN 6). What the request says of itself does not count.
 *
 * @param host - as in a Host header, with or without port
 */
export function isSecureOrigin(spoke: Pick<LinkSource, 'origin'>, host: string): boolean {
  if (spoke.origin(host).startsWith('https:')) return true
  return /^(?:[a-z0-9-]+\.)*localhost\.?(?::[0-9]{1,5})?$/i.test(host)
}
