import { type Command, InvalidArgumentError } from 'commander'
import { CommandError } from '../blogger/failure.ts'
import { type CommandIo, processIo } from '../blogger/io.ts'
import { runCommand } from '../blogger/run-command.ts'

const config = ['--config <file>', 'config of the peer that runs here', 'council.json'] as const
const json = ['--json', 'one line of JSON on stdout'] as const

/**
 * Adds the operator's commands, which ask the peer that runs on this machine: `admit`, `invite`,
 * `cutoff`, `reinstate`, `status`, `reindex`, and those that move blogs. Exit codes as of the blogger's commands. Each is loaded when it runs.
 */
export function adminCommands(program: Command, io: CommandIo = processIo): void {
  program
    .command('admit')
    .description("on the authority's machine: list who asks to join, and admit or refuse one")
    .argument('[peer]', 'its name or peer id; left out: list all')
    .option('--refuse', 'refuse it instead; needs --reason')
    .option('--reason <text>', 'what a refused peer is told, one line')
    .option('--dry-run', 'only say what would be done')
    .option(...config)
    .option(...json)
    .action((peer, options) =>
      runCommand('admit', io, async (plain) => {
        const { admit } = await import('./admit.ts')
        await admit(peer, options, plain)
      }),
    )
  program
    .command('invite')
    .description("on the authority's machine: make an invitation, and print the line to join with")
    .option('--uses <number>', 'how many peers may use it (default: 1)', readNumber(1, 1_000))
    .option('--hours <number>', 'how long it holds (default: 72)', readNumber(1, 8_760))
    .option('--note <text>', 'whom it is for, for your own list')
    .option('--list', 'list all invitations')
    .option('--revoke <id>', 'end one; who used it stays a member')
    .option(...config)
    .option(...json)
    .action((options) =>
      runCommand('invite', io, async (plain) => {
        const { invite } = await import('./invite.ts')
        await invite(options, plain)
      }),
    )
  const spoke = ['<spoke>', 'its name or peer id'] as const
  const reason = ['--reason <text>', 'one line, for everybody to read'] as const
  program
    .command('cutoff')
    .description("on the authority's machine: cut a spoke off from the council, in public")
    .argument(...spoke)
    .requiredOption(...reason)
    .option('--evidence <file>', 'a text that goes into the act')
    .option('--dry-run', 'only say what would be done')
    .option(...config)
    .option(...json)
    .action((which, options) =>
      runCommand('cutoff', io, async (plain) => {
        const { cutOff } = await import('./cutoff.ts')
        await cutOff('cutoff', which, options, plain)
      }),
    )
  program
    .command('reinstate')
    .description("on the authority's machine: take back a spoke that was cut off")
    .argument(...spoke)
    .requiredOption(...reason)
    .option('--evidence <file>', 'a text that goes into the act')
    .option('--dry-run', 'only say what would be done')
    .option(...config)
    .option(...json)
    .action((which, options) =>
      runCommand('reinstate', io, async (plain) => {
        const { cutOff } = await import('./cutoff.ts')
        await cutOff('reinstate', which, options, plain)
      }),
    )
  program
    .command('status')
    .description('say how the peer that runs here is doing')
    .option(...config)
    .option(...json)
    .action((options) =>
      runCommand('status', io, async (plain) => {
        const { showStatus } = await import('./show-status.ts')
        await showStatus(options, plain)
      }),
    )
  program
    .command('reindex')
    .description('make the index of words anew, by which posts are found here')
    .option(...config)
    .option(...json)
    .action((options) =>
      runCommand('reindex', io, async (plain) => {
        const { reindex } = await import('./reindex.ts')
        await reindex(options, plain)
      }),
    )
  moveCommands(program, io)
}

/** The commands that move blogs, and the one that shows where they are. */
function moveCommands(program: Command, io: CommandIo): void {
  const dryRun = ['--dry-run', 'only say what would be done'] as const
  const wait = ['--wait', 'until it is done, and say each step'] as const
  const seconds = readNumber(1, 86_400)
  const timeout = ['--timeout <seconds>', 'how long --wait waits', seconds, 120] as const
  const reason = ['--reason <text>', 'why, one line: it stands in the act, in public'] as const

  program
    .command('copies')
    .description('what each replica of a blog has: role, epoch, head, lag')
    .argument('<blog>')
    .option(...config)
    .option(...json)
    .action((blog, options) =>
      runCommand('copies', io, async (plain) => {
        const { copies } = await import('./move-commands.ts')
        await copies(blog, options, plain)
      }),
    )
  program
    .command('transfer')
    .description(
      "let another spoke lead a blog: on the authority's machine, or, with --signed, yours from anywhere",
    )
    .argument('<blog>')
    .argument('<spoke>', 'its name or peer id')
    .option('--signed', 'the blog is yours: sign the order with your gpg; needs --at and --key')
    .option('--at <url>', 'with --signed: any spoke of the council, as the program prints it')
    .option('--key <user id>', 'with --signed: your key in gpg')
    .option(...reason)
    .option(...dryRun)
    .option(...wait)
    .option(...timeout)
    .option(...config)
    .option(...json)
    .action((blog, spoke, options) =>
      runCommand('transfer', io, async (plain) => {
        const { signed, at, key, reason: why } = options
        const isAlone = signed === true ? why === undefined : at === undefined && key === undefined
        const isWhole = signed !== true || (at !== undefined && key !== undefined)
        if (!isAlone || !isWhole) {
          throw new CommandError(
            'usage',
            '--signed goes with --at and --key, and without --reason: your signature is the reason.',
          )
        }
        if (signed === true) {
          const { orderMove } = await import('../blogger/order-move.ts')
          return orderMove(blog, spoke, options, plain)
        }
        const { transfer } = await import('./move-commands.ts')
        await transfer(blog, spoke, options, plain)
      }),
    )
  program
    .command('promote')
    .description("on the authority's machine: let another replica of a blog lead, now")
    .argument('<blog>')
    .option('--to <spoke>', 'which; left out: the other one that holds the most')
    .option('--accept-loss', 'also when too few answer: what only the silent hold is given up')
    .option(...reason)
    .option(...dryRun)
    .option(...wait)
    .option(...timeout)
    .option(...config)
    .option(...json)
    .action((blog, options) =>
      runCommand('promote', io, async (plain) => {
        const { promote } = await import('./move-commands.ts')
        await promote(blog, options, plain)
      }),
    )
  program
    .command('drain')
    .description('move everything away from a spoke, so that it may stop')
    .argument('[spoke]', "its name or peer id, on the authority's machine; left out: this spoke")
    .option('--undo', 'let it keep copies again')
    .option(...reason)
    .option(...dryRun)
    .option(...wait)
    .option(...timeout)
    .option(...config)
    .option(...json)
    .action((spoke, options) =>
      runCommand('drain', io, async (plain) => {
        const { drain } = await import('./move-commands.ts')
        await drain(spoke, options, plain)
      }),
    )
}

function readNumber(least: number, most: number) {
  return (value: string) => {
    const number = Number(value)
    if (/^\d+$/.test(value) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`want ${least} to ${most}.`)
  }
}
