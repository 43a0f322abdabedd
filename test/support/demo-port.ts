import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { planDemo } from '../../src/node/demo/plan.ts'

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer().listen(port, host)
  try {
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/**
 * A port for a demo that nobody uses now, nor those that follow from it. Below what the system gives
 * to outgoing connections, and another one each time: tests of two checkouts run side by side.
 */
export async function freeDemoPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + 100 * randomInt(190)
    const plan = planDemo({ spokes: 1, port })
    const hosts = ['127.0.0.1', plan.authority.host, plan.spokes[0]?.host ?? '']
    const ports = [plan.port, plan.dnsPort, plan.p2pPort, plan.innerPort]
    const free = await Promise.all(hosts.flatMap((host) => ports.map((each) => isFree(host, each))))
    if (!free.includes(false)) return port
  }
}
