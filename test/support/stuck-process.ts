import { createInterface } from 'node:readline'
import { Watchdog } from '../../src/node/watchdog.ts'

// A process that is watched, and blocks its event loop for as long as a line on stdin says, ms.
// Each line is answered when the loop runs again.

await using watchdog = new Watchdog({ afterMs: Number(process.argv[2]) })
watchdog.start()
process.stdout.write('watched\n')
for await (const line of createInterface({ input: process.stdin })) {
  const until = performance.now() + Number(line)
  while (performance.now() < until);
  process.stdout.write(`${line}\n`)
}
