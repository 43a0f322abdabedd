import { describe, expect, it } from 'vitest'
import { placeOfHost } from '../../src/web/host.ts'

const place = (header: string, editForm: 'dotted' | 'dashed' = 'dotted') =>
  placeOfHost(header, 'blogs.localhost', editForm, ['127.0.0.12', '::1', '2001:db8::2'])

describe('placeOfHost', () => {
  it.each([
    '',
    ':80',
    '.',
    'localhost',
    'blogs.localhost..',
    'xblogs.localhost',
    'blogs.localhost.evil.example',
    'maria.blogs.localhost.evil.example',
    '.blogs.localhost',
    '..blogs.localhost',
    'maria..blogs.localhost',
    'maria@blogs.localhost',
    'maria.blogs.localhost:80:80',
    'maria.blogs.localhost:',
    'maria.blogs.localhost:port',
    'maria.blogs.localhost/x',
    'maria.blogs.localhost, blogs.localhost',
    'ma_ria.blogs.localhost',
    'maría.blogs.localhost',
    'xn--mara-5pa.blogs.localhost',
    'ma--ria.blogs.localhost',
    '-maria.blogs.localhost',
    '12345.blogs.localhost',
    'ab.blogs.localhost',
    `${'a'.repeat(31)}.blogs.localhost`,
    `${'a.'.repeat(200)}blogs.localhost`,
    'a'.repeat(100_000),
    'edit.blogs.localhost',
    'spoke.blogs.localhost',
    'ns.blogs.localhost',
    'edit--.blogs.localhost',
    'edit--edit.blogs.localhost',
    'edit.edit.blogs.localhost',
    'edit.x_y.blogs.localhost',
    'x.maria.blogs.localhost',
    'a.edit.maria.blogs.localhost',
    'edit.edit--maria.blogs.localhost',
    'a_b.spoke.blogs.localhost',
    'x.b.spoke.blogs.localhost',
    '127.0.0.13',
    '127.0.0.12.blogs.localhost',
    '[::2]',
    '[::1',
    '::1',
    '[127.0.0.12]',
    '[]:80',
    '[maria.blogs.localhost]',
  ])('knows nothing of %j', (header) => {
    expect(place(header)).toEqual({ kind: 'unknown' })
  })

  it.each([
    ['blogs.localhost', { kind: 'council' }],
    ['blogs.localhost:8380', { kind: 'council' }],
    ['BLOGS.localhost.:8380', { kind: 'council' }],
    ['b.spoke.blogs.localhost', { kind: 'spoke', name: 'b' }],
    ['edit.spoke.blogs.localhost', { kind: 'spoke', name: 'edit' }],
    ['maria.blogs.localhost', { kind: 'blog', blog: 'maria' }],
    ['MARIA.Blogs.Localhost:80', { kind: 'blog', blog: 'maria' }],
    ['maria.blogs.localhost.', { kind: 'blog', blog: 'maria' }],
    [`${'a'.repeat(30)}.blogs.localhost`, { kind: 'blog', blog: 'a'.repeat(30) }],
    ['127.0.0.12', { kind: 'own' }],
    ['127.0.0.12:8382', { kind: 'own' }],
    ['[::1]:80', { kind: 'own' }],
    ['[0:0::0:1]', { kind: 'own' }],
    ['[2001:DB8::2]:443', { kind: 'own' }],
  ])('finds the place of %j', (header, expected) => {
    expect(place(header)).toEqual(expected)
  })

  it.each([
    ['edit.maria.blogs.localhost', 'dotted', true],
    ['edit--maria.blogs.localhost', 'dotted', false],
    ['edit.maria.blogs.localhost', 'dashed', false],
    ['edit--maria.blogs.localhost', 'dashed', true],
  ] as const)(
    'says of the edit host %j whether the form %s is the canonical one',
    (header, form, canonical) => {
      expect(place(header, form)).toEqual({ kind: 'edit', blog: 'maria', canonical })
    },
  )
})
