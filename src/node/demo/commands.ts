import { type Command, InvalidArgumentError } from 'commander'
import type { CommandIo } from '../blogger/io.ts'
import { runCommand } from '../blogger/run-command.ts'
import type { FaultOptions } from './faults.ts'
import { defaultPort } from './plan.ts'

/**
 * Adds to `demo` what a running demo can be told: `kill`, `partition`, `tamper`, `heal`. Each prints what
 * happens, with times, until all is well again. Exit codes as of the other commands: 3 when it is
 * not well in time, 4 when the peer is down already, 5 when no demo runs.
 */
export function demoCommands(demo: Command, io: CommandIo): void {
  // Options behind `kill` are its own, those before it the demo's.
  demo.enablePositionalOptions()
  const told = (name: string, description: string) =>
    demo
      .command(name)
      .description(description)
      .option('--port <port>', 'the one that the demo was started with', readPort, defaultPort)
      .option('--dry-run', 'only say what would be done')
      .option('--json', 'one line of JSON on stdout when all is well')

  told('kill', 'end a peer of the running demo with kill -9, and watch what follows')
    .argument('<peer>', 'a, b, c … or authority')
    .action((peer: string, options: FaultOptions) =>
      runCommand('demo kill', io, async (plain) => {
        const { demoKill } = await import('./faults.ts')
        await demoKill(peer, options, plain)
      }),
    )
  told('partition', 'cut a peer of the running demo off from all others, and watch what follows')
    .argument('<peer>', 'a, b, c … or authority')
    .action((peer: string, options: FaultOptions) =>
      runCommand('demo partition', io, async (plain) => {
        const { demoPartition } = await import('./faults.ts')
        await demoPartition(peer, options, plain)
      }),
    )
  told('tamper', 'alter a post on the disk of a spoke of the running demo, and watch what follows')
    .argument('<peer>', 'a, b, c …')
    .action((peer: string, options: FaultOptions) =>
      runCommand('demo tamper', io, async (plain) => {
        const { demoTamper } = await import('./tamper.ts')
        await demoTamper(peer, options, plain)
      }),
    )
  told('heal', 'start and connect again what was ended or cut off, and watch what follows').action(
    (options: FaultOptions) =>
      runCommand('demo heal', io, async (plain) => {
        const { demoHeal } = await import('./heal.ts')
        await demoHeal(options, plain)
      }),
  )
}

function readPort(value: string): number {
  const port = Number(value)
  if (/^\d+$/.test(value) && port >= 1_024 && port <= 65_000) return port
  throw new InvalidArgumentError('want 1024 to 65000.')
}
