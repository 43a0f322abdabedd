import { type Command, InvalidArgumentError } from 'commander'
import { exportBlog, verify } from './archive-commands.ts'
import { claim } from './claim.ts'
import { type CommandIo, processIo } from './io.ts'
import { publish } from './publish.ts'
import { runCommand } from './run-command.ts'
import { showLog } from './show-log.ts'
import { verifyUrl } from './verify-url.ts'

/**
 * Adds the blogger's commands, which use the local gpg and any spoke over HTTP: `claim`, `publish`,
 * `log`, `export`, `verify`. A command that fails says one sentence on stderr and sets the exit
 * code of DESIGN 9; what is a bug is thrown.
 */
export function bloggerCommands(program: Command, io: CommandIo = processIo): void {
  const at = ['--at <url>', 'any spoke of the council, as the program prints it'] as const
  const key = ['--key <user id>', 'your key in gpg: fingerprint, name or e-mail address'] as const
  const json = ['--json', 'one line of JSON on stdout'] as const

  program
    .command('claim')
    .description('ask for a blog name, sign it with your gpg key and wait until the blog is ready')
    .argument('<name>', 'maria becomes maria.<zone>')
    .requiredOption(...at)
    .requiredOption(...key)
    .option('--timeout <seconds>', 'how long to wait for the name', readSeconds, 120)
    .option(...json)
    .action((name, options) => runCommand('claim', io, (plain) => claim(name, options, plain)))
  program
    .command('publish')
    .description('sign a Markdown file with gpg as the next post and hand it in')
    .argument('<file>', 'a Markdown file, or - for stdin')
    .requiredOption('--blog <name>', 'your blog')
    .requiredOption(...at)
    .requiredOption(...key)
    .option('--title <title>', 'else the first line that begins with "# "')
    .option('--slug <slug>', 'last part of the address; the same again makes a new revision')
    .option('--lang <tag>', 'language, like es or zh-Hans')
    .option('--tags <list>', 'separated by commas')
    .option('--date <instant>', 'like 2026-11-23T03:40:00Z; now when left out')
    .option(...json)
    .action((file, options) => runCommand('publish', io, (plain) => publish(file, options, plain)))
  program
    .command('log')
    .description('list all entries of a blog')
    .argument('<blog>')
    .requiredOption(...at)
    .option(...json)
    .action((blog, options) => runCommand('log', io, (plain) => showLog(blog, options, plain)))
  program
    .command('export')
    .description('download a blog as an archive that gpg can check, and check it')
    .argument('<blog>')
    .requiredOption(...at)
    .requiredOption('-o, --output <file>', 'the tar to write')
    .option(...json)
    .action((blog, options) =>
      runCommand('export', io, (plain) => exportBlog(blog, options, plain)),
    )
  program
    .command('verify')
    .description('check an exported archive, offline, or the address of a blog or post')
    .argument('<archive>', 'the tar, the folder it was unpacked into, or an http(s) address')
    .option('--at <url>', 'for an address: ask this spoke, not the one that DNS names')
    .option(...json)
    .action((what, options) =>
      runCommand('verify', io, (plain) =>
        /^https?:/i.test(what) ? verifyUrl(what, options, plain) : verify(what, options, plain),
      ),
    )
}

function readSeconds(value: string): number {
  const seconds = Number(value)
  if (Number.isFinite(seconds) && seconds >= 1 && seconds <= 86_400) return seconds
  throw new InvalidArgumentError('want 1 to 86400 seconds.')
}
