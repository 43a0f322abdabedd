import { readFile } from 'node:fs/promises'
import { showCount } from '../../web/plain-words.ts'
import { CommandError } from '../blogger/failure.ts'
import { type CommandIo, plainLine } from '../blogger/io.ts'
import { cutOffAnswer, maxEvidenceBytes } from './admin-answers.ts'
import { AdminClient } from './admin-client.ts'

export type CutOffOptions = {
  readonly config: string
  readonly reason: string
  readonly evidence?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** `cutoff <spoke>` and `reinstate <spoke>`: an act in `@roster` with its reason and evidence. */
export async function cutOff(
  kind: 'cutoff' | 'reinstate',
  which: string,
  options: CutOffOptions,
  io: CommandIo,
): Promise<void> {
  const evidence = options.evidence === undefined ? null : await readEvidence(options.evidence)
  const peer = await AdminClient.open(options.config, io.env)
  const { reason, dryRun = false } = options
  const answer = await peer.post(`/${kind}`, { which, reason, evidence, dryRun }, cutOffAnswer)
  if (options.json) return io.data(JSON.stringify(answer))
  const { name, done, act, blogs } = answer
  const words = kind === 'cutoff' ? ['cut off', 'cut off'] : ['reinstated', 'reinstate']
  io.say(plainLine(`${done ? words[0] : `would ${words[1]}`} ${name} (${answer.peer}): ${reason}`))
  if (act !== null) io.say(`  act ${act} of @roster, public on the page /acts`)
  if (kind === 'reinstate') {
    io.say('  It is a member again, and gets copies of blogs as any other.')
    return
  }
  io.say(
    `  leads ${showCount(blogs.led, 'blog')}, keeps copies of ${blogs.kept} more: they move to other spokes`,
  )
  if (blogs.only.length > 0) {
    io.say(
      plainLine(`  NO OTHER COPY of ${blogs.only.slice(0, 20).join(', ')}: nobody can read these`),
    )
    io.say('  until it is reinstated, or their authors hand in what they keep.')
  }
}

/** A text for the act: line ends and outer blanks as a signed text has them. */
async function readEvidence(path: string): Promise<string> {
  const content = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandError('usage', `Cannot read ${path}: ${error.code ?? error.message}.`)
  })
  const text = content
    .replaceAll('\r\n', '\n')
    .replaceAll(/[ \t]+$/gm, '')
    .replaceAll(/^\n+|\n+$/g, '')
  if (text === '') throw new CommandError('usage', `${path} is empty.`)
  if (Buffer.byteLength(text) > maxEvidenceBytes) {
    throw new CommandError(
      'usage',
      `${path} is longer than ${maxEvidenceBytes} bytes: an act has room for no more. Say in it where the rest is, with its SHA-256.`,
    )
  }
  return text
}
