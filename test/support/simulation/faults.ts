import type { Machine, VirtualCouncil } from './council.ts'
import type { End } from './disk.ts'
import type { Rows } from './rows.ts'

/** How often what was done to a council. */
export type FaultCounts = {
  crashes: number
  lostDisks: number
  restored: number
  /** second processes with the authority's key */
  doubled: number
  /** clocks that were set */
  jumps: number
  cuts: number
  stops: number
}

/** What happens to machines and ways; each fault ends by itself. */
export class Faults {
  readonly #council: VirtualCouncil
  /** how many machines may be out of reach at once */
  readonly #most: number
  /** who is out of reach, and what ends it */
  readonly #out = new Map<Machine, () => void>()
  readonly #healing = new Set<() => void>()
  readonly #onLost: () => void
  #isOver = false
  readonly counts: FaultCounts = {
    ...{ crashes: 0, lostDisks: 0, restored: 0, doubled: 0, jumps: 0, cuts: 0, stops: 0 },
  }

  /** @param onLost - called when a disk was lost */
  constructor(council: VirtualCouncil, most: number, onLost: () => void) {
    this.#council = council
    this.#onLost = onLost
    this.#most = most
  }

  isOut(machine: Machine): boolean {
    return this.#out.has(machine) || machine.life === null
  }

  /** Takes a machine out of reach, unless enough are; @param back - puts it back */
  #take(machine: Machine, ms: number, back: () => void): boolean {
    if (this.isOut(machine) || this.#out.size >= this.#most || this.#isOver) return false
    const end = this.for(ms, () => {
      this.#out.delete(machine)
      back()
    })
    this.#out.set(machine, end)
    return true
  }

  /** Ends what keeps a machine out of reach. */
  goBack(machine: Machine): void {
    this.#out.get(machine)?.()
  }

  /** Calls `heal` after `ms`, or when all faults end, whichever is first. */
  for(ms: number, heal: () => void): () => void {
    const once = () => {
      if (this.#healing.delete(once)) heal()
    }
    this.#healing.add(once)
    this.#council.clock.after(ms, once)
    return once
  }

  /** Everything heals now, and nothing happens any more. */
  end(): void {
    this.#isOver = true
    for (const heal of [...this.#healing]) heal()
    for (const machine of this.#council.machines) {
      if (machine.life === null && machine.hasStarted) this.#restart(machine)
    }
    this.#council.network.mend()
  }

  #restart(machine: Machine): void {
    if (machine.life === null) this.#council.launch(machine)
  }

  crash(machine: Machine, how: End, ms: number): boolean {
    if (!this.#take(machine, ms, () => this.#restart(machine))) return false
    this.counts.crashes++
    this.#council.end(machine, how)
    return true
  }

  /** The machine crashes right behind one of its next writes, before anybody hears of that write. */
  trap(machine: Machine, batches: number, how: End, ms: number): boolean {
    if (this.isOut(machine) || this.#isOver) return false
    machine.disk.trap(batches, () => this.crash(machine, how, ms))
    return true
  }

  /** The disk is gone; the machine comes back with an empty one. */
  lose(machine: Machine, ms: number): boolean {
    if (!this.#take(machine, ms, () => this.#restart(machine))) return false
    this.counts.crashes++
    this.counts.lostDisks++
    this.#council.lose(machine)
    this.#onLost()
    return true
  }

  /** The disk is as it was when the backup was made; the machine starts on that. */
  restore(machine: Machine, backup: Rows, ms: number): boolean {
    if (!this.#take(machine, ms, () => this.#restart(machine))) return false
    this.counts.crashes++
    this.counts.restored++
    this.#council.restore(machine, backup)
    this.#onLost()
    return true
  }

  /** Nothing gets from a machine, or to it, or both. */
  cutOff(machine: Machine, ways: Ways, ms: number, others = this.#council.machines): boolean {
    const mends: (() => void)[] = []
    const back = () => {
      this.#council.note(`${machine.name}: whole again`)
      for (const mend of mends) mend()
    }
    if (!this.#take(machine, ms, back)) return false
    this.counts.cuts++
    for (const other of others) if (other !== machine) mends.push(this.#cut(machine, other, ways))
    this.#council.note(`${machine.name}: cut off, ${ways}`)
    return true
  }

  /** Nothing gets from one machine to another, or back, or both. */
  part(one: Machine, other: Machine, ways: Ways, ms: number): void {
    if (one === other || this.#isOver) return
    this.counts.cuts++
    this.#council.note(`${one.name} and ${other.name}: parted, ${ways}`)
    const mend = this.#cut(one, other, ways)
    this.for(ms, () => {
      this.#council.note(`${one.name} and ${other.name}: joined`)
      mend()
    })
  }

  #cut(one: Machine, other: Machine, ways: Ways): () => void {
    const { network } = this.#council
    const [a, b] = [one.signer.peer, other.signer.peer]
    const mends = [
      ...(ways === 'in' ? [] : [network.cut(a, b)]),
      ...(ways === 'out' ? [] : [network.cut(b, a)]),
    ]
    return () => {
      for (const mend of mends) mend()
    }
  }

  /** The process is stopped, as by SIGSTOP, and goes on later as if no time had passed for it. */
  stop(machine: Machine, ms: number): boolean {
    const { life } = machine
    const back = () => {
      this.#council.note(`${machine.name}: goes on`)
      life?.goOn((job) => void this.#council.clock.after(0, job))
    }
    if (!this.#take(machine, ms, back)) return false
    this.counts.stops++
    this.#council.note(`${machine.name}: stopped for ${ms} ms`)
    life?.stop()
    return true
  }

  /** A machine's clock is set, forward or back. */
  setClock({ name, reading }: Machine, aheadMs: number): void {
    if (this.#isOver) return
    this.#council.note(`${name}: the clock is set by ${aheadMs - reading.aheadMs} ms`)
    this.counts.jumps++
    reading.aheadMs = aheadMs
  }

  /** What a machine sends comes up to `lateMs` later. */
  delay(machine: Machine, lateMs: number, ms: number): void {
    if (this.#isOver) return
    this.#council.note(`${machine.name}: up to ${lateMs} ms late`)
    this.#council.network.delay(machine.signer.peer, lateMs)
    this.for(ms, () => this.#council.network.delay(machine.signer.peer, 0))
  }

  /** Each sync of a machine's disk takes `busyMs` and more. */
  busy({ name, disk }: Machine, busyMs: number, ms: number): void {
    if (this.#isOver) return
    this.#council.note(`${name}: syncs take ${busyMs} ms`)
    disk.busyMs = busyMs
    this.for(ms, () => {
      disk.busyMs = 0
    })
  }

  /** The disk takes only some of what is written. */
  full({ name, disk }: Machine, failing: number, ms: number): void {
    if (this.#isOver) return
    this.#council.note(`${name}: the disk is full`)
    disk.failing = failing
    this.for(ms, () => {
      disk.failing = 0
    })
  }
}

export type Ways = 'out' | 'in' | 'both'
