import { readFileSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { adminCommands } from './admin/commands.ts'
import { bloggerCommands } from './blogger/commands.ts'
import { exitCodes } from './blogger/failure.ts'
import { processIo as io } from './blogger/io.ts'
import { runCommand } from './blogger/run-command.ts'
import { demoCommands } from './demo/commands.ts'
import { createLogger } from './logger.ts'
import { stopSignal } from './stop-signal.ts'

// Commands load what they run when they run: libp2p alone takes most of a second, and `claim` or
// `--help` don't need it. What was compiled once is kept for the next start.
enableCompileCache()

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string }

const program = new Command('council')
  .description(
    'a blog network without a centre: many spokes serve one zone, authors sign every post',
  )
  .version(version)
  // `demo` has options, and so have its own commands: each counts for what stands before it.
  .enablePositionalOptions()
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'council: ')) })
  .addHelpText(
    'after',
    '\nExit codes: 0 ok, 1 failed, 2 usage, 3 not ready, 4 refused, 5 unreachable.',
  )

const demoCommand = program
  .command('demo')
  .description('start a whole council on this machine, with real texts in six languages')
  .option('--spokes <number>', 'how many spokes', readNumber(2, 20), 5)
  .option('--port <port>', 'TCP port of the pages', readNumber(1024, 65_000), 8380)
  .option('--dir <folder>', 'keep everything there, and go on from it the next time')
  .option(
    '--silence <seconds>',
    'silence after which a peer counts as down',
    readNumber(1, 600),
    15,
  )
  .option('--json', 'one line of JSON on stdout as soon as the six blogs are published')
  .action((options) =>
    run('demo', async () => {
      const { demo } = await import('./demo.ts')
      await demo(options, io, stopSignal())
    }),
  )
demoCommands(demoCommand, io)

program
  .command('demo-front-door', { hidden: true })
  .requiredOption('--host <ip>')
  .requiredOption('--port <port>', '', readNumber(1, 65_535))
  .requiredOption('--dns <ip:port...>')
  .action((options) =>
    run('demo-front-door', async () => {
      const { runFrontDoor } = await import('./demo/front-door.ts')
      await runFrontDoor(options, io, stopSignal({ orEndOfInput: true }))
    }),
  )

program
  .command('init')
  .description(
    'write council.json and the key of a new peer: the first of a council, or with --join one more',
  )
  .option('--dir <folder>', 'where to', '.')
  .option('--zone <zone>', 'DNS zone of the new council (default: blogs.localhost)')
  .option(
    '--join <address>',
    'council://… address of the council to join, or that of one of its peers: /ip4/192.0.2.1/tcp/4001',
  )
  .option('--council <zone/id>', 'the council that is meant: any other at that address is refused')
  .option('--yes', 'join whichever council the peer at that address is of')
  .option('--name <label>', 'this peer is <label>.spoke.<zone> (default: a)')
  .option('--operator <text>', 'who runs it; copies of a blog go to different operators')
  .option('--host <ip>', 'IP address at which others reach it', '127.0.0.1')
  .option('--port <port>', 'TCP port of its pages', readNumber(1, 65_535), 8380)
  .option('--p2p-port <port>', 'TCP port for other peers', readNumber(1, 65_535), 4001)
  .option('--dns-port <port>', 'UDP and TCP port of its DNS', readNumber(1, 65_535), 5353)
  .option('--dns', 'answer DNS, too (a first peer does anyway)')
  .option('--no-dns', 'answer no DNS')
  .option('--force', 'write council.json anew; the key stays')
  .option('--json', 'one line of JSON on stdout')
  .action((options) =>
    run('init', async () => {
      const { init } = await import('./init.ts')
      await init(options, io)
    }),
  )

program
  .command('start')
  .description('run the peer of a council.json')
  .option('--config <file>', 'its config', 'council.json')
  .option('--json', 'one line of JSON on stdout as soon as the council has admitted it')
  .addOption(new Option('--until-input-ends', 'stop when stdin ends').hideHelp())
  .action((options) =>
    run('start', async () => {
      const { start } = await import('./start.ts')
      await start(options, io, stopSignal({ orEndOfInput: options.untilInputEnds === true }))
    }),
  )

adminCommands(program)
bloggerCommands(program)

// Words that find no room on a full disk are lost; that is no reason to end.
process.stderr.on('error', () => undefined)
process.on('uncaughtException', crash)
process.on('unhandledRejection', crash)
try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage
}

function run(name: string, command: () => Promise<void>): Promise<void> {
  return runCommand(name, io, command)
}

/** A bug: what the process holds in memory can no longer be trusted, what is on disk can. */
function crash(cause: unknown): never {
  createLogger('error').forComponent('council:process').error('crashed', { cause })
  process.exit(exitCodes.failed)
}

function readNumber(least: number, most: number) {
  return (value: string) => {
    const number = Number(value)
    if (/^\d+$/.test(value) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`want ${least} to ${most}.`)
  }
}
