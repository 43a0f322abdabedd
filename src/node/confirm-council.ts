import { CommandError } from './blogger/failure.ts'
import type { CommandIo } from './blogger/io.ts'
import { type FoundCouncil, lookAtCouncil } from './look-at-council.ts'

/** How `init` may be told which council is meant. */
export type Meant = {
  /** a `council://` address, or the bare multiaddr of one of its peers */
  readonly join: string
  /** `zone/council id`, or the id alone */
  readonly council?: string | undefined
  /** whichever council that is */
  readonly yes?: boolean | undefined
}

/**
 * The bootstrap address to join by. That of a bare multiaddr is nobody's word but the peer's there: it
 * is shown, and taken when the operator says that it is the one, by an answer on the terminal or by
 * having given its id (DESIGN 5, Joining). Throws `usage`, `unreachable`, `refused`.
 *
 * @param look - asks the peer at a multiaddr
 */
export async function confirmCouncil(
  { join, council, yes = false }: Meant,
  io: Pick<CommandIo, 'say' | 'confirm'>,
  look: (address: string) => Promise<FoundCouncil> = lookAtCouncil,
): Promise<string> {
  if (!join.startsWith('/')) {
    if (council !== undefined) checkMeant(council, join.replace(/^council:\/\/|\?.*$/g, ''))
    return join
  }
  const found = await look(join)
  io.say(`found  council  ${found.council}`)
  io.say(`       founded  ${found.founded} by its authority, ${found.authority}`)
  io.say(`       answered ${found.peer}`)
  if (council !== undefined) {
    checkMeant(council, found.council)
    return found.bootstrap
  }
  if (yes) return found.bootstrap
  io.say(
    'Compare the council’s line with what one of its operators tells you by another way: whoever answers at an address can found a council of that name.',
  )
  const isMeant = await io.confirm('Is it the council that you mean to join? y/N ')
  if (isMeant === null) {
    throw new CommandError(
      'usage',
      'There is no terminal to ask on. When it is the council that you mean, give its line with --council, or --yes to take whichever answers.',
    )
  }
  if (!isMeant) throw new CommandError('refused', 'Nothing was written.')
  return found.bootstrap
}

function checkMeant(meant: string, found: string): void {
  if (meant === found || meant === found.slice(found.indexOf('/') + 1)) return
  throw new CommandError(
    'refused',
    `That is another council: ${found}. Yours is ${meant}. Nothing was written.`,
  )
}
