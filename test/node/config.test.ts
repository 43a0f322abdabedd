import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Config, parseConfig, readConfig } from '../../src/node/config.ts'

const bootstrap = `council://blogs.example.org/${'5f'.repeat(32)}?peer=/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf`

/** The smallest config there is. */
const small = {
  name: 'b',
  operator: 'Group B',
  council: { bootstrap },
  spoke: { host: '192.0.2.7', port: 80 },
}
const founding = { ...small, council: { zone: 'blogs.localhost' }, authority: {} }

function problemsOf(value: unknown, env?: NodeJS.ProcessEnv): readonly string[] {
  const config = parseConfig(value, env)
  return config.ok ? [] : config.problems
}

function configOf(value: unknown, env?: NodeJS.ProcessEnv): Config {
  const config = parseConfig(value, env)
  if (!config.ok) throw new Error(config.reason)
  return config.value
}

describe('parseConfig', () => {
  const wrong: [string, unknown, string][] = [
    ['data', '', 'data: want the path of a folder, got ""'],
    ['data', 5, 'data: want the path of a folder, got 5'],
    ['name', undefined, 'name: want a label of 1–30 of a–z, 0–9 and -, got nothing'],
    ['name', 'B', 'name: want a label of 1–30 of a–z, 0–9 and -, got "B"'],
    ['name', 'b.c', 'name: want a label of 1–30 of a–z, 0–9 and -, got "b.c"'],
    ['operator', '', 'operator: want 1–100 characters without outer blanks, got ""'],
    ['operator', ' x', 'operator: want 1–100 characters without outer blanks, got " x"'],
    ['operator', 'x\ny z', 'operator: want 1–100 characters without outer blanks, got "x\\ny z"'],
    ['network', '', 'network: want 1–100 characters without outer blanks, or null, got ""'],
    ['country', 'Chile', 'country: want two capital letters, or null, got "Chile"'],
    ['country', 'cl', 'country: want two capital letters, or null, got "cl"'],
    [
      'peer',
      { listen: [] },
      'peer.listen: want a list of at least one of addresses like /ip4/192.0.2.7/tcp/4001, got []',
    ],
    [
      'peer',
      { listen: ['/ip4/127.0.0.1/udp/4001'] },
      'peer.listen: want a list of at least one of addresses like /ip4/192.0.2.7/tcp/4001, got ["/ip4/127.0.0.1/udp/4001"]',
    ],
    [
      'peer',
      { listen: ['/ip4/127.0.0.1/tcp/70000'] },
      'peer.listen: want a list of at least one of addresses like /ip4/192.0.2.7/tcp/4001, got ["/ip4/127.0.0.1/tcp/70000"]',
    ],
    [
      'peer',
      { announce: 'a.example.org' },
      'peer.announce: want a list of addresses like /ip4/192.0.2.7/tcp/4001, got "a.example.org"',
    ],
    [
      'peer',
      { dialFrom: 'a.example.org' },
      'peer.dialFrom: want an IP address, or null, got "a.example.org"',
    ],
    ['council', undefined, 'council: want an object { … }, got nothing'],
    ['council', {}, 'council: want either zone or bootstrap, got neither'],
    [
      'council',
      { bootstrap: 'http://blogs.example.org' },
      'council.bootstrap: want a bootstrap address like council://<zone>/<council id>?peer=/ip4/…/tcp/…/p2p/12D3Koo…, got "http://blogs.example.org"',
    ],
    [
      'council',
      { zone: 'blogs.localhost' },
      'council.zone: want section authority beside it, since this founds a council; to join one, give council.bootstrap',
    ],
    [
      'web',
      { origin: 'http://127.0.0.1:8380' },
      'web.origin: want http:// or https://, then {host} and perhaps a port, got "http://127.0.0.1:8380"',
    ],
    ...['localhost', '10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '::/129', 'fe80::1%eth0', ''].map(
      (proxy): [string, unknown, string] => [
        'web',
        { trustedProxies: [proxy] },
        `web.trustedProxies: want a list of IP addresses or networks like 10.0.0.0/8, got ["${proxy}"]`,
      ],
    ),
    ['spoke', { host: 'localhost', port: 80 }, 'spoke.host: want an IP address, got "localhost"'],
    ['spoke', { host: '192.0.2.7' }, 'spoke.port: want 0–65535, got nothing'],
    ['spoke', { host: '192.0.2.7', port: 65_536 }, 'spoke.port: want 0–65535, got 65536'],
    ['spoke', { host: '192.0.2.7', port: '80' }, 'spoke.port: want 0–65535, got "80"'],
    ['spoke', { host: '192.0.2.7', port: 80.5 }, 'spoke.port: want 0–65535, got 80.5'],
    [
      'spoke',
      { host: '192.0.2.7', port: 80, addresses: ['http://b.example.org'] },
      'spoke.addresses: want a list of addresses like http://192.0.2.7:80, got ["http://b.example.org"]',
    ],
    [
      'spoke',
      { host: '0.0.0.0', port: 80 },
      'spoke.addresses: want at least one, since 0.0.0.0 is every address of this machine, got none',
    ],
    ['dns', { host: '192.0.2.7', port: -1 }, 'dns.port: want 0–65535, got -1'],
    [
      'dns',
      { host: '192.0.2.7', port: 53, addresses: ['192.0.2.7:53'] },
      'dns.addresses: want a list of "192.0.2.7 53", got ["192.0.2.7:53"]',
    ],
    [
      'dns',
      { host: '::', port: 53 },
      'dns.addresses: want at least one, since :: is every address of this machine, got none',
    ],
    [
      'authority',
      {},
      'authority: want council.zone beside it; a peer that joins has no such section',
    ],
    ...[
      'keys.example.org',
      'ftp://keys.example.org',
      'hkps://',
      'hkps://a@b.org',
      'hkps://b.org/x',
    ].map((server): [string, unknown, string] => [
      'keys',
      { servers: [server] },
      `keys.servers: want a list of key servers like hkps://keys.example.org, 8 at most, got ${JSON.stringify([server])}`,
    ]),
    ...['hkp://keys.example.org', 'http://192.0.2.7'].map((server): [string, unknown, string] => [
      'keys',
      { servers: [server] },
      `keys.servers: want hkps:// or https://, or keys.allowPrivate, got "${server}"`,
    ]),
    ['keys', { servers: Array(9).fill('hkps://b.org') }, 'keys.servers: want at most 8 servers'],
    ['keys', { wkd: 1 }, 'keys.wkd: want true or false, got 1'],
    [
      'council',
      { bootstrap: `${bootstrap}&invite=short` },
      'council.bootstrap: want an invitation of 43 characters behind invite=, got "short"; copy the whole join line once more',
    ],
    ['failover', { silenceMs: 10 }, 'failover.silenceMs: want 1000–600000, got 10'],
    ['exchange', { pullMs: 100 }, 'exchange.pullMs: want 200–600000, got 100'],
    ['exchange', { gossip: 'no' }, 'exchange.gossip: want true or false, got "no"'],
    ['exchange', { push: 1 }, 'exchange.push: want true or false, got 1'],
    ['exchange', { pull: null }, 'exchange.pull: want true or false, got null'],
    ['disk', { newBlogsPercent: 0 }, 'disk.newBlogsPercent: want 1–100, got 0'],
    ['disk', { replacePercent: 101 }, 'disk.replacePercent: want 1–100, got 101'],
    ['disk', { copiesPercent: 84 }, 'disk.copiesPercent: want at least newBlogsPercent, got 84'],
    ['disk', { newBlogsPercent: 93 }, 'disk.copiesPercent: want at least newBlogsPercent, got 92'],
    ['disk', { replacePercent: 91 }, 'disk.replacePercent: want at least copiesPercent, got 91'],
    ['disk', { reserveMiB: -1 }, 'disk.reserveMiB: want 0–65536, got -1'],
    ['load', { busyPerMinute: 1e8 }, 'load.busyPerMinute: want 1–10000000, got 100000000'],
    ['load', { mostCopies: 32 }, 'load.mostCopies: want 1–31, got 32'],
    ['load', { growAfterMs: 999 }, 'load.growAfterMs: want 1000–86400000, got 999'],
    [
      'load',
      { quietPerMinute: 1_501 },
      'load.quietPerMinute: want at most half of busyPerMinute, got 1501',
    ],
    ['limits', { blogBurst: 0 }, 'limits.blogBurst: want 1–100000, got 0'],
    ['limits', { blogBytes: 10 }, 'limits.blogBytes: want 1000000–100000000000, got 10'],
    [
      'log',
      { level: 'loud' },
      'log.level: want one of silent, fatal, error, warn, info, debug, trace, got "loud"',
    ],
    ['log', 'info', 'log: want an object { … }, got "info"'],
    [
      'spokes',
      {},
      'spokes: no such field; known here are data, name, operator, network, country, peer, council, web, spoke, dns, aggregator, authority, keys, failover, exchange, disk, load, limits, log',
    ],
    [
      'dns',
      { host: '192.0.2.7', prot: 53, port: 53 },
      'dns.prot: no such field; known here are host, port, addresses',
    ],
  ]
  it.each(wrong)('refuses %s = %j', (name, value, problem) => {
    expect(problemsOf({ ...small, [name]: value })).toEqual([problem])
  })

  it.each([
    [
      'council',
      { zone: 'Blogs.localhost' },
      'council.zone: want a lower-case DNS name, got "Blogs.localhost"',
    ],
    ['council', { zone: 'x.org', bootstrap }, 'council: want either zone or bootstrap, got both'],
    [
      'authority',
      { admission: 'all' },
      'authority.admission: want one of open, approve, invite, got "all"',
    ],
    ['authority', { replicas: 0 }, 'authority.replicas: want 1–31, got 0'],
    ['authority', { edit: 'slashed' }, 'authority.edit: want one of dotted, dashed, got "slashed"'],
  ])('refuses %s = %j of a founding peer', (name, value, problem) => {
    expect(problemsOf({ ...founding, [name]: value })).toEqual([problem])
  })

  it('reports all problems at once', () => {
    const { spoke: _, ...rest } = small
    const value = { ...rest, name: '-', dsn: {}, failover: { silenceMs: 10, x: 1 }, council: 3 }
    expect(problemsOf(value).map((problem) => problem.split(':')[0])).toEqual([
      'name',
      'council',
      'failover.silenceMs',
      'failover.x',
      'dsn',
      'spoke, dns, authority, aggregator',
    ])
  })

  it('refuses a config that is no object', () => {
    expect(problemsOf([])).toEqual(['the config: want an object { … }, got []'])
    expect(problemsOf(null)).toEqual(['the config: want an object { … }, got null'])
  })

  it('answers whatever the value, without throwing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(founding)), (value, name) => {
        const config = parseConfig({ ...founding, [name]: value })
        return config.ok || config.problems.length > 0
      }),
    )
  })

  it('fills in the defaults', () => {
    expect(configOf({ ...small, dns: { host: '2001:db8::7', port: 53 } })).toEqual({
      data: './data',
      name: 'b',
      operator: 'Group B',
      network: null,
      country: null,
      peer: { listen: ['/ip4/0.0.0.0/tcp/4001'], announce: [], dialFrom: null },
      council: { bootstrap },
      web: { origin: 'https://{host}', trustedProxies: [] },
      spoke: { host: '192.0.2.7', port: 80, addresses: ['http://192.0.2.7:80'] },
      dns: { host: '2001:db8::7', port: 53, addresses: ['2001:db8::7 53'] },
      keys: { servers: [], wkd: false, allowPrivate: false },
      failover: { silenceMs: 15_000, replaceAfterMs: 60_000 },
      exchange: { pullMs: 30_000, gossip: true, push: true, pull: true },
      disk: { newBlogsPercent: 85, copiesPercent: 92, replacePercent: 97, reserveMiB: 64 },
      load: {
        ...{ busyPerMinute: 3_000, quietPerMinute: 1_000, mostCopies: 7 },
        ...{ growAfterMs: 120_000, shrinkAfterMs: 1_800_000 },
      },
      limits: { blogBurst: 500, blogHourly: 60, blogBytes: 200_000_000 },
      log: { level: 'info' },
    })
    expect(configOf(founding).authority).toEqual({
      admission: 'open',
      replicas: 3,
      edit: 'dotted',
      cutoffReports: null,
    })
  })

  it.each([
    [['hkps://keys.example.org', 'https://192.0.2.7:8443', 'hkps://[2001:db8::7]'], false],
    [['hkp://127.0.0.1:11371', 'http://localhost'], true],
  ])('takes the key servers %j', (servers, allowPrivate) => {
    const keys = { servers, allowPrivate }
    expect(configOf({ ...small, keys }).keys).toEqual({ ...keys, wkd: false })
  })

  it('leaves the addresses open where the port is still to be found', () => {
    expect(configOf({ ...small, spoke: { host: '127.0.0.1', port: 0 } }).spoke?.addresses).toEqual(
      [],
    )
  })

  it('lets the environment set any field, also in a section that the file lacks', () => {
    const env = {
      COUNCIL_NAME: 'c',
      COUNCIL_NETWORK: '123',
      COUNCIL_COUNTRY: 'CL',
      COUNCIL_SPOKE__PORT: '8381',
      COUNCIL_DNS__HOST: '192.0.2.7',
      COUNCIL_DNS__PORT: '53',
      COUNCIL_FAILOVER__SILENCE_MS: '5000',
      COUNCIL_EXCHANGE__PULLMS: '200',
      COUNCIL_EXCHANGE__GOSSIP: 'false',
      COUNCIL_PEER__LISTEN: '["/ip4/127.0.0.1/tcp/0"]',
      PATH: '/bin',
    }
    expect(configOf(small, env)).toMatchObject({
      name: 'c',
      network: '123',
      country: 'CL',
      spoke: { port: 8381, addresses: ['http://192.0.2.7:8381'] },
      dns: { host: '192.0.2.7', port: 53 },
      failover: { silenceMs: 5_000, replaceAfterMs: 60_000 },
      exchange: { pullMs: 200, gossip: false, push: true },
      peer: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    })
    expect(configOf({ ...small, country: 'CL' }, { COUNCIL_COUNTRY: 'null' }).country).toBeNull()
  })

  it('reports what is wrong in the environment with the rest', () => {
    const env = {
      COUNCIL_SPOKE__PORT: 'x',
      COUNCIL_SPOKE__PROT: '80',
      COUNCIL_SPOKE: '{}',
      COUNCIL_NAME__PORT: '80',
      COUNCIL_HTTP__PORT: '80',
    }
    const unknown = (name: string) =>
      `${name} (environment): no such field; want COUNCIL_<SECTION>__<FIELD>`
    expect(problemsOf(small, env)).toEqual([
      'spoke.port: want 0–65535, got "x"',
      unknown('COUNCIL_SPOKE__PROT'),
      unknown('COUNCIL_SPOKE'),
      'COUNCIL_NAME__PORT (environment): name is a field, no section',
      unknown('COUNCIL_HTTP__PORT'),
    ])
  })
})

describe('readConfig', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'council-config-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('takes the example file as it stands', async () => {
    const path = join(import.meta.dirname, '../../council.example.json')
    const config = await readConfig(path, {})
    expect(config).toMatchObject({ ok: true, value: { council: { zone: 'blogs.localhost' } } })
    const file: unknown = JSON.parse(await readFile(path, 'utf8'))
    expect(config.ok && { ...config.value, data: './data' }).toEqual(file)
  })

  it('takes paths as relative to the folder of the file', async () => {
    const path = join(folder, 'council.json')
    await writeFile(path, JSON.stringify({ ...small, data: 'store' }))
    const config = await readConfig(path, {})
    expect(config.ok && config.value.data).toBe(join(folder, 'store'))
  })

  it('says which file is missing, no JSON or wrong', async () => {
    const path = join(folder, 'bad.json')
    expect(await readConfig(path, {})).toMatchObject({
      code: 'CONFIG_UNREADABLE',
      reason: `There is no ${path}. Make one with: ./council init`,
    })
    await writeFile(path, '{ "name": ')
    expect(await readConfig(path, {})).toMatchObject({
      code: 'CONFIG_NOT_JSON',
      reason: expect.stringContaining(`${path} is not JSON: `),
    })
    await writeFile(path, JSON.stringify({ ...small, nmae: 'b' }))
    expect(await readConfig(path, {})).toMatchObject({
      code: 'CONFIG',
      reason: expect.stringContaining(`${path} has mistakes:\nnmae: no such field`),
    })
  })
})
