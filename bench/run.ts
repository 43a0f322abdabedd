import { cpus } from 'node:os'
import { benchCatchUp } from './catch-up.ts'
import { benchDns } from './dns.ts'
import { benchFailOver } from './fail-over.ts'
import { formatResult, isReached, type Result } from './figures.ts'
import { benchIngest } from './ingest.ts'
import { benchLive } from './live.ts'
import { benchMemory } from './memory.ts'
import { benchMoves } from './moves.ts'
import { benchNewcomer } from './newcomer.ts'
import { benchOneNetwork } from './one-network.ts'
import { benchMillion, benchSearch } from './search.ts'
import { benchBusyPage, benchFront, benchWeb } from './web.ts'

const benches: Readonly<Record<string, () => Promise<Result | readonly Result[]>>> = {
  ingest: benchIngest,
  'catch-up': benchCatchUp,
  live: benchLive,
  web: benchWeb,
  'busy-page': benchBusyPage,
  front: benchFront,
  dns: benchDns,
  memory: benchMemory,
  'fail-over': benchFailOver,
  moves: benchMoves,
  'one-network': benchOneNetwork,
  newcomer: benchNewcomer,
  search: benchSearch,
  'search-million': benchMillion,
}
/** Those that take minutes: run when they are named only. */
const long = ['search-million']
const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => benches[name] === undefined)
if (unknown !== undefined) {
  console.error(
    `There is no benchmark "${unknown}". Known are: ${Object.keys(benches).join(', ')}.`,
  )
  process.exit(2)
}
console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`)
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 ? !wanted.includes(name) : long.includes(name)) continue
  for (const result of [await bench()].flat()) {
    console.log(`\n${formatResult(result)}`)
    if (!isReached(result)) process.exitCode = 1
  }
}
