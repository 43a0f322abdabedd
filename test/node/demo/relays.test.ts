import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Relays } from '../../../src/node/demo/relays.ts'
import { freePort, soon } from '../../support/council.ts'

let relays: Relays
let port: number
let server: Server
/** what each side has received, and the socket on b's side */
let atB: string
let ofB: Socket[]

beforeEach(async () => {
  port = await freePort()
  const innerPort = await freePort()
  const place = (name: string, host: string) => ({ name, host, port, innerPort })
  relays = new Relays([
    place('a', '127.0.40.1'),
    place('b', '127.0.40.2'),
    place('c', '127.0.40.3'),
  ])
  await relays.start()
  atB = ''
  ofB = []
  server = createServer((socket) => {
    ofB.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (part) => {
      atB += part
      socket.write(`got ${part}`)
    })
  })
  server.listen(innerPort, '127.0.40.2')
  await once(server, 'listening')
})
afterEach(async () => {
  await relays[Symbol.asyncDispose]()
  server.close()
})

const hosts = { a: '127.0.40.1', c: '127.0.40.3' }
async function dial(from: keyof typeof hosts, to = '127.0.40.2') {
  const socket = connect({ host: to, port, localAddress: hosts[from] })
  const got = { socket, text: '', ended: '' }
  socket.on('data', (part) => {
    got.text += part
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    got.ended = error.code ?? error.message
  })
  socket.on('close', () => {
    got.ended ||= 'closed'
  })
  await once(socket, 'connect')
  return got
}

describe('Relays', () => {
  it('passes everything on, and the address of who dials', async () => {
    const a = await dial('a')
    a.socket.write('one')
    await soon(() => expect(a.text).toBe('got one'))
    expect(ofB[0]?.remoteAddress).toBe('127.0.40.1')
    a.socket.end()
    await soon(() => expect(a.ended).toBe('closed'))
  })

  it('holds up what is cut both ways, for these two only, and gives it later', async () => {
    const [a, c] = [await dial('a'), await dial('c')]
    a.socket.write('one')
    await soon(() => expect(a.text).toBe('got one'))
    relays.cut('a', 'b')
    relays.cut('b', 'a')
    a.socket.write('two')
    c.socket.write('three')
    await soon(() => expect(c.text).toBe('got three'))
    expect(atB).toBe('onethree')
    expect(a.ended).toBe('')
    relays.mend()
    await soon(() => expect(a.text).toBe('got onegot two'))
  })

  it('cuts one way only', async () => {
    const a = await dial('a')
    a.socket.write('one')
    await soon(() => expect(a.text).toBe('got one'))
    relays.cut('b', 'a')
    a.socket.write('two')
    await soon(() => expect(atB).toBe('onetwo'))
    ofB[0]?.write('unheard')
    const c = await dial('c')
    c.socket.write('three')
    await soon(() => expect(c.text).toBe('got three'))
    expect(a.text).toBe('got one')
    relays.mendBetween('a', 'b')
    await soon(() => expect(a.text).toBe('got onegot twounheard'))
  })

  it('lets no new connection come about across a cut, and holds up the end of an old one', async () => {
    const old = await dial('a')
    old.socket.write('one')
    await soon(() => expect(old.text).toBe('got one'))
    relays.cut('b', 'a')
    ofB[0]?.destroy()
    const fresh = await dial('a')
    fresh.socket.write('two')
    const c = await dial('c')
    c.socket.write('three')
    await soon(() => expect(c.text).toBe('got three'))
    expect([atB, old.ended, fresh.text]).toEqual(['onethree', '', ''])
    relays.mend()
    await soon(() => expect([old.ended, fresh.text]).toEqual(['closed', 'got two']))
  })

  it('hangs up at once where nobody listens', async () => {
    const a = await dial('a', '127.0.40.3')
    await soon(() => expect(a.ended).not.toBe(''))
  })
})
