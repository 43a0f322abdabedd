import { KeyRing } from '../../auth/public-key.ts'
import { blogNameRule, parseBlogName } from '../../replication/log/entry.ts'
import { formatDate } from '../../replication/log/text.ts'
import { type ClaimAnswer, claimAnswer, claimedAnswer } from './answers.ts'
import { type AuthorKey, openKey, signDraft, submission } from './author-key.ts'
import { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import { Gpg } from './gpg.ts'
import type { CommandIo } from './io.ts'
import { type Kept, Outbox } from './outbox.ts'

export type ClaimOptions = {
  readonly at: string
  readonly key: string
  /** seconds to wait for the name */
  readonly timeout: number
  readonly json?: boolean
}

const pollEveryMs = 500

/** `claim <name>`: signs the genesis, which is the claim, and waits until the blog is ready. */
export async function claim(name: string, options: ClaimOptions, io: CommandIo): Promise<void> {
  if (parseBlogName(name) === null) {
    throw new CommandError('refused', `"${name}" cannot be a blog's name: ${blogNameRule}.`)
  }
  const client = new SpokeClient(options.at)
  const gpg = new Gpg(io.env)
  const key = await openKey(gpg, new KeyRing(), options.key, io.now())
  const { council, zone } = await client.council()
  const outbox = new Outbox(io.env, council, name)
  const genesis =
    (await keptGenesis(outbox, key)) ??
    (await signDraft(gpg, key, {
      council,
      blog: name,
      seq: 0,
      prev: null,
      kind: 'genesis',
      date: formatDate(io.now()),
      key: key.publicKey.fingerprint,
      body: key.publicKey.armored,
    }))
  await outbox.keep(genesis)
  io.say(`asking for ${name}.${zone} with key ${key.publicKey.fingerprint}`)
  const posted = await client.handIn(submission(genesis), io)
  if (posted.status >= 400 && posted.status < 500 && posted.status !== 429)
    await outbox.drop(genesis.entry)
  const { claim: page, url, published } = client.read(posted, claimedAnswer)
  if (!published) {
    const host = page === undefined ? undefined : new URL(page).hostname
    const record = await follow(client, host, genesis, options, io)
    if (record === null) {
      throw new CommandError(
        'notReady',
        `The claim is still pending after ${options.timeout} s. It goes on by itself${page === undefined ? '' : `, see ${page}`}. To go on waiting, run the same command again.`,
      )
    }
    if (record.state === 'refused') {
      await outbox.drop(genesis.entry)
      throw new CommandError('refused', record.reason ?? `The name ${name} was refused.`)
    }
  }
  const answer = { blog: name, id: genesis.entry.id, state: 'ready', url }
  io.data(options.json ? JSON.stringify(answer) : url)
}

/** A second run goes on with the first one's claim: another genesis would lose against it. */
async function keptGenesis(outbox: Outbox, key: AuthorKey): Promise<Kept | null> {
  const kept = await outbox.list()
  return (
    kept.find(({ entry }) => entry.seq === 0 && entry.key === key.publicKey.fingerprint) ?? null
  )
}

/** Shows each step once, with its time; null when the claim is still pending at the end. */
async function follow(
  client: SpokeClient,
  host: string | undefined,
  { entry }: Kept,
  { timeout }: ClaimOptions,
  io: CommandIo,
): Promise<ClaimAnswer | null> {
  const endMs = io.now() + timeout * 1000
  const shown = new Set<string>()
  for (;;) {
    const record = await readClaim(client, host, entry.id, io.now() < endMs)
    for (const { step, state, at, detail } of record?.steps ?? []) {
      const mark = `${step} ${state}`
      if (shown.has(mark)) continue
      shown.add(mark)
      io.say(`${at ?? formatDate(io.now())}  ${state.padEnd(7)}  ${step.padEnd(15)}  ${detail}`)
    }
    if (record !== null && record.state !== 'pending') return record
    if (io.now() >= endMs) return null
    await io.sleep(pollEveryMs)
  }
}

/** Null when the spoke does not answer for the moment: it may be starting again. */
async function readClaim(
  client: SpokeClient,
  host: string | undefined,
  id: string,
  mayFail: boolean,
) {
  const path = `/claim/${id}`
  try {
    const answer = await client.ask(host === undefined ? { path } : { path, host })
    return client.read(answer, claimAnswer)
  } catch (error) {
    const passes =
      error instanceof CommandError && (error.exit === 'unreachable' || error.exit === 'notReady')
    if (mayFail && passes) return null
    throw error
  }
}
