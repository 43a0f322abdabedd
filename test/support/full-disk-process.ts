import { Level } from 'level'
import { realClock } from '../../src/node/clock.ts'
import { DiskRoom } from '../../src/node/disk-room.ts'
import { createLogger } from '../../src/node/logger.ts'
import { StoreDisk } from '../../src/node/store-disk.ts'

// Runs on a small disk (see small-disk.ts) and obeys lines on stdin; each is answered by one line of
// JSON. `bare` is LevelDB itself, to see that what StoreDisk guards against is still so.

const [folder, kind] = process.argv.slice(2) as [string, 'guarded' | 'bare']
const log = createLogger('silent').forComponent('council:disk')
const marks = { newBlogsPercent: 85, copiesPercent: 92, replacePercent: 97 }
const reserveBytes = 8 * 1024 * 1024
const room = new DiskRoom({ folder, marks, reserveBytes, clock: realClock, log })
const path = `${folder}/store`
const fatal = () => process.exit(9)
const store = await open()

async function open() {
  if (kind === 'bare') {
    const db = new Level<string, Uint8Array>(path, { valueEncoding: 'view' })
    await db.open()
    return db
  }
  await room.start()
  await room.look()
  return StoreDisk.open(path, { room, clock: realClock, log, fatal })
}

let count = 0
const held: string[] = []
/** @returns null, or the code of the refusal */
async function put(prefix: string, bytes: number): Promise<string | null> {
  const key = `${prefix}${String(count++).padStart(8, '0')}`
  try {
    const value = new Uint8Array(bytes).fill(count)
    await store.batch([{ type: 'put', key, value }], { sync: true })
    held.push(key)
    return null
  } catch (error) {
    return (error as { code: string }).code
  }
}

const commands: Record<string, () => Promise<unknown>> = {
  /** eight entries at once, of many lengths, until one is refused */
  async write() {
    for (;;) {
      const all = await Promise.all(
        Array.from({ length: 8 }, (_, n) => put('entry/maria/', 1_000 + 997 * n)),
      )
      const refused = all.find((each) => each !== null)
      if (refused !== undefined) return refused
    }
  },
  /** one entry after the other */
  async writeSingly() {
    for (;;) {
      const refused = await put('entry/maria/', 3_001)
      if (refused !== null) return refused
    }
  },
  entry: () => put('entry/maria/', 2_000),
  promise: () => put('promise/', 100),
  act: () => put('entry/@names/', 1_000),
  tail: () => put('tail/maria/', 1_000),
  async read() {
    return (await store.get(held[0] as string))?.length ?? null
  },
  async state() {
    const { isFull, mark } = room
    return { isFull, mark, held: held.length }
  },
  async held() {
    return held
  },
  /** how many of the keys that another run held are missing */
  async missing() {
    let missing = 0
    for (const key of others) if ((await store.get(key)) === undefined) missing++
    return missing
  },
}

let others: string[] = []
process.stdout.write('"open"\n')
for await (const line of process.stdin) {
  const [command = '', argument] = String(line).trim().split(/ (.*)/s)
  if (argument !== undefined) others = JSON.parse(argument)
  process.stdout.write(`${JSON.stringify(await commands[command]?.())}\n`)
}
