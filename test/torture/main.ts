import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatOutcome, isGood } from './outcome.ts'
import { torture } from './torture.ts'

const usage = `npm run torture -- [--faults 100] [--seed 1] [--silence 3] [--spokes 5] [--writers 3] [--port 8580] [--keep]

A council of real processes, authors who publish all the time with gpg, and faults. Ends with exit
code 1 when a published entry was lost, one invented or forked, or when not all came to rest.
  --faults   how many
  --seed     choice of the faults
  --silence  seconds of silence after which a peer counts as down
  --port     TCP port of the pages; others beside it
  --keep     leave the folder with logs and data`

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    silence: { type: 'string', default: '3' },
    spokes: { type: 'string', default: '5' },
    writers: { type: 'string', default: '3' },
    port: { type: 'string', default: '8580' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const whole = (name: 'faults' | 'seed' | 'silence' | 'spokes' | 'writers' | 'port') => {
  const number = Number(values[name])
  if (Number.isInteger(number) && number > 0) return number
  console.error(`--${name} wants a whole number.\n\n${usage}`)
  return process.exit(2)
}
if (values.help) {
  console.log(usage)
  process.exit(0)
}
const init = {
  ...{ faults: whole('faults'), seed: whole('seed'), silenceMs: whole('silence') * 1_000 },
  ...{ spokes: whole('spokes'), writers: whole('writers'), port: whole('port') },
}
const folder = await mkdtemp(join(tmpdir(), 'council-torture-'))
try {
  const outcome = await torture({ ...init, folder, say: (line) => console.log(line) })
  for (const line of formatOutcome(outcome)) console.log(line)
  const { faults, seed, silenceMs, spokes, writers } = init
  console.log(
    `again: npm run torture -- --faults ${faults} --seed ${seed} --silence ${silenceMs / 1_000} --spokes ${spokes} --writers ${writers}`,
  )
  if (!isGood(outcome)) process.exitCode = 1
} finally {
  if (values.keep || process.exitCode === 1) console.log(`kept: ${folder}`)
  else await rm(folder, { recursive: true, force: true })
}
