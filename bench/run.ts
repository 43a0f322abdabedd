import { cpus } from 'node:os'
import { benchCatchUp } from './catch-up.ts'
import { formatResult, isReached, type Result } from './figures.ts'
import { benchIngest } from './ingest.ts'
import { benchLive } from './live.ts'

const benches: Readonly<Record<string, () => Promise<Result>>> = {
  ingest: benchIngest,
  'catch-up': benchCatchUp,
  live: benchLive,
}
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
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const result = await bench()
  console.log(`\n${formatResult(result)}`)
  if (!isReached(result)) process.exitCode = 1
}
