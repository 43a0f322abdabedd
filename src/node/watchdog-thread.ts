import { write } from 'node:fs'
import { workerData } from 'node:worker_threads'
import type { Watched } from './watchdog.ts'

// The thread of `Watchdog`. It uses nothing that needs the event loop it watches.

/** A last line that nobody takes must not keep the process alive, ms. */
const lastWordsMs = 500

const { ticks: cell, stepMs, steps } = workerData as Watched
const ticks = new Int32Array(cell)
let seen = Atomics.load(ticks, 0)
/** own steps since the loop counted last; a sleep of the machine is one at most */
let still = 0

setInterval(() => {
  const now = Atomics.load(ticks, 0)
  still = now === seen ? still + 1 : 0
  seen = now
  if (still === steps) end()
}, stepMs)

function end(): void {
  const kill = () => process.kill(process.pid, 'SIGKILL')
  setTimeout(kill, lastWordsMs)
  const line = {
    ...{ level: 'fatal', time: new Date().toISOString(), component: 'council:watchdog' },
    ...{ stuckMs: stepMs * steps, msg: 'stuck' },
  }
  write(2, `${JSON.stringify(line)}\n`, kill)
}
